// Runs on the audio thread: hands on what the microphone gives, in pieces of 20 ms. Started by `microphone.ts`.
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

class Capture extends AudioWorkletProcessor {
  private piece = new Float32Array(Math.round(sampleRate / 50));
  private filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const channels = inputs[0] ?? [];
    const length = channels[0]?.length ?? 0;
    for (let index = 0; index < length; index++) {
      let sample = 0;
      for (const channel of channels) sample += channel[index]!;
      this.piece[this.filled++] = sample / channels.length;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece, [this.piece.buffer]);
        this.piece = new Float32Array(Math.round(sampleRate / 50));
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("vita-capture", Capture);
