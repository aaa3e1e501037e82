// Plays pcm16 at 24 kHz as it comes, with a volume, and tells how much was played. Used by the chat and live.
import playerUrl from "./player.worklet.ts?worker&url";
import { bytesOfBase64 } from "./files";
import { samplesOf } from "./pcm";
import type { PlayerOrder, PlayerReport } from "./player.worklet";

export const PLAY_RATE_HZ = 24000;

/** A speaker that is open, until `close`. Open it in a click: browsers let no sound start otherwise. */
export class Player {
  private constructor(
    private context: AudioContext,
    private node: AudioWorkletNode,
    private gain: GainNode,
  ) {}

  /** Open it; `onReport` is called ten times a second while it plays, and at the end of each sound. */
  static async open(onReport: (report: PlayerReport) => void = () => {}): Promise<Player> {
    const context = new AudioContext({ sampleRate: PLAY_RATE_HZ, latencyHint: "interactive" });
    await context.audioWorklet.addModule(playerUrl);
    await context.resume();
    const node = new AudioWorkletNode(context, "vita-player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.port.onmessage = ({ data }: MessageEvent<PlayerReport>) => onReport(data);
    const gain = context.createGain();
    node.connect(gain).connect(context.destination);
    return new Player(context, node, gain);
  }

  /** Play `data` (base64) after what is there already; it belongs to the sound `id`. */
  add(id: string, data: string): void {
    const samples = samplesOf(bytesOfBase64(data));
    this.order({ do: "add", id, samples }, [samples.buffer]);
  }

  /** The sound `id` has come to its end. */
  last(id: string): void {
    this.order({ do: "last", id });
  }

  /** Be silent at once. */
  clear(): void {
    this.order({ do: "clear" });
  }

  /** How long a sample takes from here to the speaker, as far as the browser knows. */
  get delayMs(): number {
    return 1000 * (this.context.outputLatency || this.context.baseLatency || 0);
  }

  /** 0 to 1, as loud as it sounds. */
  set volume(value: number) {
    this.gain.gain.setTargetAtTime(value * value, this.context.currentTime, 0.01);
  }

  /** Let it go. */
  close(): void {
    void this.context.close();
  }

  private order(order: PlayerOrder, transfer: Transferable[] = []): void {
    this.node.port.postMessage(order, transfer);
  }
}
