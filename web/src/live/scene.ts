// What a live conversation looks like, as a pure function of its events: lines of text and the state of both sides.
import { RATE_HZ, type Item, type ServerEvent } from "./protocol";

/** A word of an answer, and where in its sound it ends. */
export interface Word {
  text: string;
  endMs: number;
}

export interface Line {
  id: string;
  kind: "spoken" | "typed" | "noise" | "answer";
  /** What was typed, or the words that were heard, if the model's ear tells them. */
  text: string;
  /** Of an answer: what was spoken, word by word. */
  words: Word[];
  /** Of an answer: all that was written, spoken or not. */
  written: string;
  soundMs: number;
  playedMs: number;
  /** Of an answer that was interrupted: how much of it was heard. */
  heardMs?: number;
  /** Of a spoken turn: where its sound is, in milliseconds of what was sent. */
  from?: number;
  to?: number;
  /** Of a question: when it was complete, in milliseconds of what was sent. */
  askedMs?: number;
  /** Of an answer: from the end of its question until its first sound was played. */
  latencyMs?: number;
}

/** Where the sound of a turn begins and ends, in milliseconds of what was sent. */
export interface Span {
  from: number;
  to?: number;
}

export interface Scene {
  lines: Line[];
  /** The turn that is being spoken, empty if there is none. */
  hearing: string;
  thinking: boolean;
  speaking: boolean;
  ignored: boolean;
  /** Whether a response is on its way. */
  responding: boolean;
  /** Turns that are not committed yet. */
  spans: Record<string, Span>;
  generator: string;
  monitor: string;
  error: string;
}

export const EMPTY: Scene = {
  lines: [],
  hearing: "",
  thinking: false,
  speaking: false,
  ignored: false,
  responding: false,
  spans: {},
  generator: "a",
  monitor: "b",
  error: "",
};

export type Phase = "listening" | "hearing" | "thinking" | "speaking" | "ignored";

/** The one word for what goes on. */
export function phaseOf(scene: Scene): Phase {
  if (scene.hearing) return "hearing";
  if (scene.speaking) return "speaking";
  if (scene.thinking) return "thinking";
  return scene.ignored ? "ignored" : "listening";
}

/** A line without anything. */
export function newLine(id: string, kind: Line["kind"], text = ""): Line {
  return { id, kind, text, words: [], written: "", soundMs: 0, playedMs: 0 };
}

/** The scene with one line changed. */
export function changeLine(scene: Scene, id: string, change: (line: Line) => Partial<Line>): Scene {
  return { ...scene, lines: scene.lines.map((line) => (line.id === id ? { ...line, ...change(line) } : line)) };
}

/**
 * The scene after an event.
 *
 * @param sentMs how much sound had been sent when it came.
 */
export function reduce(scene: Scene, event: ServerEvent, sentMs: number): Scene {
  switch (event.type) {
    case "input_audio_buffer.speech_started":
      return { ...withSpan(scene, event.item_id, { from: event.audio_start_ms }), hearing: event.item_id, ignored: false };
    case "input_audio_buffer.speech_stopped":
      return { ...withSpan(scene, event.item_id, { to: event.audio_end_ms }), hearing: "", thinking: true };
    case "vita.speech_started": // also of turns that the client is not told of until they interrupt
      return scene.spans[event.item_id] ? scene : withSpan(scene, event.item_id, { from: Math.max(0, sentMs - 800) });
    case "conversation.item.added":
      return event.item.role === "user" ? addTurn(scene, event.item, sentMs) : scene;
    case "response.created":
      return { ...scene, responding: true, thinking: true, ignored: false, error: "" };
    case "response.output_item.added":
      return { ...scene, lines: [...scene.lines, newLine(event.item.id, "answer")] };
    case "response.output_audio.delta":
      return changeLine({ ...scene, thinking: false, speaking: true }, event.item_id, ({ soundMs }) => ({
        soundMs: soundMs + durationMs(event.delta),
      }));
    case "response.output_audio_transcript.delta":
      return changeLine(scene, event.item_id, ({ words, soundMs }) => ({
        words: [...words, { text: event.delta, endMs: soundMs }],
      }));
    case "vita.output_text.delta":
      return changeLine(scene, event.item_id, ({ written }) => ({ written: written + event.delta }));
    case "conversation.item.truncated":
      return changeLine(scene, event.item_id, ({ heardMs }) => ({ heardMs: heardMs ?? event.audio_end_ms }));
    case "response.done":
      return { ...scene, responding: false, thinking: false };
    case "vita.roles":
      return { ...scene, generator: event.generator, monitor: event.monitor };
    case "error":
      if (event.error.code === "response_cancel_not_active") return scene; // it had just ended by itself
      return { ...scene, hearing: "", thinking: false, error: event.error.message };
    default:
      return scene;
  }
}

/** A turn that the server has committed. Frames of the camera are no lines; what the page itself has sent is there. */
function addTurn(scene: Scene, item: Item, sentMs: number): Scene {
  if (scene.lines.some(({ id }) => id === item.id)) return scene;
  const sound = item.content.some(({ type }) => type === "input_audio");
  const text = item.content.map((part) => part.text ?? part.transcript ?? "").join("");
  if (!sound && !text) return scene;
  const isNoise = item.vita?.state === "noise";
  const line = newLine(item.id, isNoise ? "noise" : sound ? "spoken" : "typed", text);
  const { [item.id]: span, ...spans } = scene.spans;
  if (span) Object.assign(line, { from: span.from, to: span.to || sentMs, askedMs: span.to || sentMs });
  const hearing = scene.hearing === item.id ? "" : scene.hearing;
  const after = { ...scene, lines: [...scene.lines, line], spans, hearing };
  return isNoise ? { ...after, thinking: false, ignored: true } : { ...after, thinking: true };
}

function withSpan(scene: Scene, id: string, change: Partial<Span>): Scene {
  return { ...scene, spans: { ...scene.spans, [id]: { ...(scene.spans[id] ?? { from: 0 }), ...change } } };
}

/** Of pcm16 in base64. */
function durationMs(base64: string): number {
  return (1000 * (base64.length * 0.75)) / 2 / RATE_HZ;
}

/** The scene once the first sample of an answer is heard; `sentMs`: how much sound had been sent by then. */
export function beginSound(scene: Scene, id: string, sentMs: number): Scene {
  const before = scene.lines.slice(0, scene.lines.findIndex((line) => line.id === id));
  const asked = before.findLast(({ kind }) => kind === "spoken" || kind === "typed")?.askedMs;
  return asked === undefined ? scene : changeLine(scene, id, () => ({ latencyMs: sentMs - asked }));
}

/** What was heard of an answer, and what was cut off. */
export function heardAndCut(line: Line): { heard: string; cut: string } {
  const spoken = line.words.map(({ text }) => text).join("");
  const all = line.written.length > spoken.length ? line.written : spoken;
  if (line.heardMs === undefined) return { heard: spoken, cut: "" };
  const heard = line.words.filter(({ endMs }) => endMs <= line.heardMs! + 40).map(({ text }) => text);
  return { heard: heard.join(""), cut: all.slice(heard.join("").length) };
}
