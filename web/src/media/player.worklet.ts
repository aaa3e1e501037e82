// Runs on the audio thread: plays what it is given, in order, and stops within one block of 128 samples.
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

interface Piece {
  id: string;
  samples: Float32Array;
  last: boolean;
}

/** `add` a piece of the sound `id`; `last` says that it is over; `clear` throws all away. */
export type PlayerOrder = { do: "add"; id: string; samples: Float32Array } | { do: "last"; id: string } | { do: "clear" };
/** How much of a sound was played: it has begun, it goes on, it is all, or it was thrown away. */
export type PlayerReport = { id: string; playedMs: number; what: "begun" | "going" | "ended" | "cleared" };

class Player extends AudioWorkletProcessor {
  private pieces: Piece[] = [];
  private offset = 0;
  private id = "";
  private played = 0;
  private sinceReport = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlayerOrder>) => this.take(data);
  }

  private take(order: PlayerOrder): void {
    if (order.do === "clear") {
      if (this.pieces[0]) {
        this.turnTo(this.pieces[0].id);
        this.report("cleared");
      }
      this.pieces = [];
      this.offset = 0;
    } else if (order.do === "add") {
      this.pieces.push({ id: order.id, samples: order.samples, last: false });
    } else {
      this.pieces.push({ id: order.id, samples: new Float32Array(0), last: true });
    }
  }

  /** Play the sound `id` from now on; whether it is another one. */
  private turnTo(id: string): boolean {
    if (id === this.id) return false;
    this.id = id;
    this.played = 0;
    return true;
  }

  private report(what: PlayerReport["what"]): void {
    const report: PlayerReport = { id: this.id, playedMs: (1000 * this.played) / sampleRate, what };
    this.port.postMessage(report);
    this.sinceReport = 0;
  }

  process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]![0]!;
    let at = 0;
    while (at < out.length && this.pieces.length) {
      const piece = this.pieces[0]!;
      if (this.turnTo(piece.id) && piece.samples.length) this.report("begun");
      const length = Math.min(out.length - at, piece.samples.length - this.offset);
      out.set(piece.samples.subarray(this.offset, this.offset + length), at);
      at += length;
      this.offset += length;
      this.played += length;
      this.sinceReport += length;
      if (this.offset === piece.samples.length) {
        this.pieces.shift();
        this.offset = 0;
        if (piece.last) this.report("ended");
      }
    }
    if (this.sinceReport > sampleRate / 10) this.report("going");
    for (const channel of outputs[0]!.slice(1)) channel.set(out);
    return true;
  }
}

registerProcessor("vita-player", Player);
