// Sound as numbers: float32 to pcm16 and back, wav files, another sample rate. No browser API.

/** float32 in -1..1 as little-endian pcm16. */
export function pcm16Of(samples: Float32Array): Int16Array {
  const pcm = new Int16Array(samples.length);
  for (let index = 0; index < samples.length; index++) {
    const clipped = Math.max(-1, Math.min(1, samples[index]!));
    pcm[index] = Math.round(clipped * 32767);
  }
  return pcm;
}

/** Little-endian pcm16 as float32 in -1..1. */
export function samplesOf(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Float32Array(Math.floor(bytes.length / 2));
  for (let index = 0; index < samples.length; index++) samples[index] = view.getInt16(2 * index, true) / 32768;
  return samples;
}

/** A wav file of pcm16 mono. */
export function wavOf(pcm: Int16Array, rate: number): ArrayBuffer {
  const buffer = new ArrayBuffer(44 + 2 * pcm.length);
  const view = new DataView(buffer);
  const tag = (at: number, text: string) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  tag(0, "RIFF");
  view.setUint32(4, 36 + 2 * pcm.length, true);
  tag(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  tag(36, "data");
  view.setUint32(40, 2 * pcm.length, true);
  pcm.forEach((sample, index) => view.setInt16(44 + 2 * index, sample, true));
  return buffer;
}

/** Root mean square, 0 for no sound. */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}

const HALF_WIDTH = 16;

/** Changes the sample rate of a stream by a windowed sinc; without delay at its start, HALF_WIDTH samples later. */
export class Resampler {
  private held = new Float32Array(HALF_WIDTH);
  private position = HALF_WIDTH;

  constructor(
    private from: number,
    private to: number,
  ) {}

  /** The samples that are ready once `samples` has come in. */
  push(samples: Float32Array): Float32Array {
    if (this.from === this.to) return samples;
    const all = new Float32Array(this.held.length + samples.length);
    all.set(this.held);
    all.set(samples, this.held.length);
    const step = this.from / this.to;
    const made: number[] = [];
    while (this.position + HALF_WIDTH < all.length) {
      made.push(this.at(all, this.position));
      this.position += step;
    }
    const drop = Math.max(0, Math.min(all.length, Math.floor(this.position) - HALF_WIDTH));
    this.held = all.slice(drop);
    this.position -= drop;
    return Float32Array.from(made);
  }

  private at(all: Float32Array, position: number): number {
    const cut = Math.min(1, this.to / this.from);
    const middle = Math.floor(position);
    let sum = 0;
    for (let index = middle - HALF_WIDTH + 1; index <= middle + HALF_WIDTH; index++) {
      const x = position - index;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / HALF_WIDTH);
      const angle = Math.PI * x * cut;
      sum += (all[index] ?? 0) * window * cut * (angle === 0 ? 1 : Math.sin(angle) / angle);
    }
    return sum;
  }
}
