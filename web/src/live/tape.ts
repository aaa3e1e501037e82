// Keeps the last minutes of what the microphone sent, so that a turn can be heard or sent again. No browser API.

/** Pieces of pcm16 by their place in the sound that was sent. */
export class Tape {
  private pieces: { at: number; pcm: Int16Array }[] = [];
  private length = 0;

  constructor(
    private rate: number,
    private keepMs = 120_000,
  ) {}

  /** How much was sent, in milliseconds. */
  get sentMs(): number {
    return (1000 * this.length) / this.rate;
  }

  /** Note what was sent. */
  push(pcm: Int16Array): void {
    this.pieces.push({ at: this.length, pcm });
    this.length += pcm.length;
    const oldest = this.length - (this.keepMs * this.rate) / 1000;
    while (this.pieces.length && this.pieces[0]!.at + this.pieces[0]!.pcm.length < oldest) this.pieces.shift();
  }

  /** The sound from one place to another; shorter where it is not kept any more. */
  cut(fromMs: number, toMs: number): Int16Array {
    const from = Math.max(0, Math.round((fromMs * this.rate) / 1000));
    const to = Math.min(this.length, Math.round((toMs * this.rate) / 1000));
    const found = this.pieces
      .filter(({ at, pcm }) => at + pcm.length > from && at < to)
      .map(({ at, pcm }) => pcm.subarray(Math.max(0, from - at), Math.min(pcm.length, to - at)));
    const whole = new Int16Array(found.reduce((sum, { length }) => sum + length, 0));
    let filled = 0;
    for (const piece of found) {
      whole.set(piece, filled);
      filled += piece.length;
    }
    return whole;
  }
}
