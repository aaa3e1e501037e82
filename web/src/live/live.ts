// The live conversation: microphone, camera, speaker and connection, and what goes on between them. Shown by `view.tsx`.
import { newId } from "../chat/model";
import { t } from "../i18n";
import { base64OfBytes } from "../media/files";
import { Microphone, MicrophoneError } from "../media/microphone";
import { loudness, pcm16Of } from "../media/pcm";
import { Player } from "../media/player";
import type { PlayerReport } from "../media/player.worklet";
import { Store } from "../store";
import { Camera, type Source } from "./camera";
import { Connection } from "./connection";
import * as protocol from "./protocol";
import { beginSound, changeLine, EMPTY, heardAndCut, newLine, phaseOf, reduce, type Line, type Phase, type Scene } from "./scene";
import { Tape } from "./tape";

export interface LiveState {
  phase: "off" | "connecting" | "reconnecting" | Phase;
  scene: Scene;
  problem: string;
  cameraProblem: string;
  muted: boolean;
  volume: number;
  microphone: string;
  camera: string;
  source: Source;
  /** What the camera sees. */
  view: MediaStream | null;
  /** The last events, the newest first. */
  log: string[];
}

const LOG_LENGTH = 40;
const QUIET = new Set(["response.output_audio.delta", "rate_limits.updated"]);
const IGNORED_MS = 2500;
const AROUND_MS = 300;
const MOST_CLIPS = 30;

/** The live conversation of this page. */
export class Live extends Store<LiveState> {
  /** How loud the microphone is, 0 to 1; apart, because it changes all the time. */
  readonly level = new Store({ value: 0 });
  private connection: Connection | null = null;
  private mic: Microphone | null = null;
  private player: Player | null = null;
  private eye: Camera | null = null;
  private tape = new Tape(protocol.RATE_HZ);
  private clips = new Map<string, Int16Array>();
  private whenFree: (() => void) | null = null;
  private cutId = "";
  private ignoredTimer = 0;
  private run = 0;

  constructor() {
    super({
      phase: "off", scene: EMPTY, problem: "", cameraProblem: "", muted: false, volume: 1, microphone: "", camera: "",
      source: "none", view: null, log: [],
    }); // prettier-ignore
  }

  /** Begin. To be called in a click. */
  async start(): Promise<void> {
    const run = ++this.run;
    this.set({ phase: "connecting", problem: "" });
    try {
      const mic = await Microphone.open(protocol.RATE_HZ, (samples) => this.hear(samples), this.state.microphone);
      const player = await Player.open((report) => this.played(report));
      if (run !== this.run) {
        mic.close();
        return player.close();
      }
      [this.mic, this.player] = [mic, player];
    } catch (error) {
      const problem = error instanceof MicrophoneError ? t.noMicrophone[error.problem] : String(error);
      return this.set({ phase: "off", problem });
    }
    this.player.volume = this.state.volume;
    this.connection = new Connection({
      onOpen: (isNew) => this.opened(isNew),
      onEvent: (event) => this.told(event),
      onLost: () => this.lost(),
      onRefused: (reason) => {
        this.stop();
        this.set({ problem: reason ? t.failed(reason) : t.noRealtime });
      },
    });
    if (this.state.source !== "none") await this.show(this.state.source);
  }

  /** End; what was said stays to be read. */
  stop(): void {
    this.run += 1;
    this.connection?.close();
    this.mic?.close();
    this.player?.close();
    this.eye?.close();
    this.connection = this.mic = this.player = this.eye = null;
    this.set({ phase: "off", view: null, scene: { ...EMPTY, lines: this.state.scene.lines } });
  }

  /** Whether something can be asked now. */
  get isConnected(): boolean {
    return this.connection?.isOpen ?? false;
  }

  /** Send silence instead of what the microphone gives. */
  setMuted(muted: boolean): void {
    this.set({ muted });
  }

  setVolume(volume: number): void {
    if (this.player) this.player.volume = volume;
    this.set({ volume });
  }

  /** Listen to another microphone. */
  async useMicrophone(microphone: string): Promise<void> {
    this.set({ microphone });
    if (!this.mic) return;
    try {
      const mic = await Microphone.open(protocol.RATE_HZ, (samples) => this.hear(samples), microphone);
      this.mic.close();
      this.mic = mic;
    } catch (error) {
      this.set({ problem: error instanceof MicrophoneError ? t.noMicrophone[error.problem] : String(error) });
    }
  }

  /** Show the camera, the screen, or nothing. */
  async show(source: Source, camera = this.state.camera): Promise<void> {
    this.eye?.close();
    this.eye = null;
    this.set({ source, camera, view: null, cameraProblem: "" });
    if (source === "none" || !this.connection) return;
    const onFrame = (url: string) => this.connection?.send(protocol.frame(url));
    try {
      this.eye = await Camera.open(source, camera, onFrame, () => void this.show("none"));
      this.set({ view: this.eye.stream });
    } catch {
      this.set({ source: "none", cameraProblem: t.noCamera });
    }
  }

  /** Ask in writing. */
  type(text: string): void {
    const line = { ...newLine(`typed_${newId()}`, "typed", text), askedMs: this.tape.sentMs };
    this.setScene({ ...this.state.scene, lines: [...this.state.scene.lines, line] });
    this.ask(line, false);
  }

  /** Answer a turn that was taken for noise. */
  wasForYou(line: Line): void {
    const id = `again_${newId()}`;
    this.clips.set(id, this.clips.get(line.id) ?? new Int16Array(0));
    this.setScene(changeLine(this.state.scene, line.id, () => ({ id, kind: "spoken", askedMs: this.tape.sentMs })));
    this.ask({ ...line, id, kind: "spoken" }, true);
  }

  /** Send a turn of the page's own and let it be answered, once the answer that goes on has ended. */
  private ask(line: Line, anyway: boolean): void {
    this.silence();
    const send = () => {
      this.tell(line);
      this.connection?.send(protocol.responseCreate(anyway));
      this.setScene({ ...this.state.scene, responding: true, thinking: true });
    };
    if (!this.state.scene.responding) return send();
    this.whenFree = send;
    this.connection?.send(protocol.responseCancel());
  }

  private hear(samples: Float32Array): void {
    const pcm = pcm16Of(this.state.muted ? new Float32Array(samples.length) : samples);
    this.level.set({ value: this.state.muted ? 0 : loudness(samples) });
    if (!this.connection || !this.isConnected) return;
    this.tape.push(pcm);
    this.connection.send(protocol.audioAppend(encode(pcm)));
  }

  private opened(isNew: boolean): void {
    this.connection!.send(protocol.sessionUpdate());
    if (isNew) this.state.scene.lines.forEach((line) => this.tell(line)); // also of a conversation that was ended before
    this.tape = new Tape(protocol.RATE_HZ);
    this.whenFree = null;
    this.setScene({ ...EMPTY, lines: this.state.scene.lines });
  }

  /** Send a line as an item. Noise, and what is not known any more, is left out. */
  private tell(line: Line): void {
    const content = this.contentOf(line);
    if (content) this.connection?.send(protocol.itemCreate(line.kind === "answer" ? "assistant" : "user", [content], line.id));
  }

  private contentOf({ id, kind, text }: Line): object | null {
    if (kind === "noise") return null;
    if (kind === "typed") return { type: "input_text", text };
    if (kind === "answer") {
      const { heard } = heardAndCut(this.state.scene.lines.find((line) => line.id === id)!);
      return heard ? { type: "output_text", text: heard } : null;
    }
    const sound = this.clips.get(id);
    return sound?.length ? { type: "input_audio", audio: encode(sound) } : null;
  }

  private lost(): void {
    this.player?.clear();
    this.set({ phase: this.state.phase === "connecting" ? "connecting" : "reconnecting" });
  }

  private told(event: protocol.ServerEvent): void {
    if ("delta" in event && event.item_id === this.cutId) return; // comes late: what was cut stays cut
    if (!QUIET.has(event.type)) this.note(event);
    if (event.type === "response.output_audio.delta") this.player?.add(event.item_id, event.delta);
    if (event.type === "response.output_audio.done") this.player?.last(event.item_id);
    const isCut = event.type === "response.done" && event.response.status === "cancelled";
    const isInterrupted = event.type === "input_audio_buffer.speech_started" && this.state.scene.responding;
    if (isCut || isInterrupted) this.silence(); // what is left of a complete answer is played to its end
    this.setScene(reduce(this.state.scene, event, this.tape.sentMs));
    if (event.type === "conversation.item.added") this.keepClip(event.item.id);
    if (event.type === "response.done") {
      this.whenFree?.();
      this.whenFree = null;
    }
    if (this.state.scene.ignored) {
      clearTimeout(this.ignoredTimer);
      this.ignoredTimer = window.setTimeout(() => this.setScene({ ...this.state.scene, ignored: false }), IGNORED_MS);
    }
  }

  /** The sound of a spoken turn, to be sent again if need be. */
  private keepClip(id: string): void {
    const line = this.state.scene.lines.find((other) => other.id === id);
    if (line?.from === undefined || line.to === undefined || this.clips.has(id)) return;
    this.clips.set(id, this.tape.cut(line.from - AROUND_MS, line.to + AROUND_MS));
    const oldest = this.clips.keys().next().value;
    if (this.clips.size > MOST_CLIPS && oldest) this.clips.delete(oldest);
  }

  /** No more of the answer; the player then reports how much of it was heard. */
  private silence(): void {
    this.player?.clear();
    if (this.state.scene.responding) this.cutId = this.state.scene.lines.findLast(({ kind }) => kind === "answer")?.id ?? "";
    this.setScene({ ...this.state.scene, speaking: false });
  }

  private played({ id, playedMs, what }: PlayerReport): void {
    const known = this.state.scene.lines.some((line) => line.id === id);
    if (!known) return;
    const delayMs = this.player?.delayMs ?? 0;
    if (what === "begun") return this.setScene(beginSound(this.state.scene, id, this.tape.sentMs + delayMs));
    const isCleared = what === "cleared";
    this.connection?.send(isCleared ? protocol.truncate(id, playedMs) : protocol.played(id, playedMs));
    const scene = changeLine(this.state.scene, id, () => ({ playedMs, ...(isCleared ? { heardMs: playedMs } : {}) }));
    this.setScene(what === "going" ? scene : { ...scene, speaking: false });
  }

  private setScene(scene: Scene): void {
    this.set({ scene, ...(this.isConnected ? { phase: phaseOf(scene) } : {}) });
  }

  private note(event: protocol.ServerEvent): void {
    const time = new Date().toLocaleTimeString();
    this.set({ log: [`${time}  ${event.type}`, ...this.state.log].slice(0, LOG_LENGTH) });
  }
}

function encode(pcm: Int16Array): string {
  return base64OfBytes(new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength));
}
