// The microphone as pieces of mono float32 at one rate. Used by voice messages and by the live conversation.
import captureUrl from "./capture.worklet.ts?worker&url";
import { Resampler } from "./pcm";

export type MicrophoneProblem = "insecure" | "denied" | "missing" | "busy" | "unsupported";

/** Why there is no microphone. */
export class MicrophoneError extends Error {
  constructor(readonly problem: MicrophoneProblem) {
    super(problem);
  }
}

/** What a failed getUserMedia means. */
export function problemOf(error: unknown): MicrophoneProblem {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "missing";
  if (name === "NotReadableError" || name === "AbortError") return "busy";
  return "unsupported";
}

/** A microphone that is open, until `close`. */
export class Microphone {
  private constructor(
    readonly stream: MediaStream,
    private context: AudioContext,
  ) {}

  /** Open one; `onPiece` gets about 20 ms at a time, at `rate`. Throws MicrophoneError. */
  static async open(rate: number, onPiece: (samples: Float32Array) => void, device = ""): Promise<Microphone> {
    if (!window.isSecureContext) throw new MicrophoneError("insecure");
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw new MicrophoneError("unsupported");
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          channelCount: 1,
          echoCancellation: true,
          noiseSuppression: true,
          autoGainControl: true,
          ...(device ? { deviceId: { exact: device } } : {}),
        },
      });
    } catch (error) {
      throw new MicrophoneError(problemOf(error));
    }
    const context = new AudioContext(); // its own rate: not every browser takes a microphone at another one
    const source = context.createMediaStreamSource(stream);
    await context.audioWorklet.addModule(captureUrl);
    await context.resume();
    const node = new AudioWorkletNode(context, "vita-capture", { numberOfInputs: 1, numberOfOutputs: 0 });
    const resampler = new Resampler(context.sampleRate, rate);
    node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => {
      const samples = resampler.push(data);
      if (samples.length) onPiece(samples);
    };
    source.connect(node);
    return new Microphone(stream, context);
  }

  /** Let it go. */
  close(): void {
    for (const track of this.stream.getTracks()) track.stop();
    void this.context.close();
  }
}
