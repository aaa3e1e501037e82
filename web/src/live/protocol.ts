// The events of a realtime connection that the page reads and sends: OpenAI's names; those called `vita` are ours.

export type ItemState = "typed_query" | "spoken_query" | "noise";

export interface Item {
  id: string;
  role: "user" | "assistant" | "system";
  content: { type: string; text?: string; transcript?: string | null }[];
  vita?: { state: ItemState };
}

export type ServerEvent =
  | { type: "session.created"; session: { id: string; vita_resumed?: boolean } }
  | { type: "input_audio_buffer.speech_started"; item_id: string; audio_start_ms: number }
  | { type: "input_audio_buffer.speech_stopped"; item_id: string; audio_end_ms: number }
  | { type: "conversation.item.added"; item: Item }
  | { type: "conversation.item.truncated"; item_id: string; audio_end_ms: number }
  | { type: "response.created"; response: { id: string } }
  | { type: "response.output_item.added"; item: Item }
  | { type: "response.output_audio.delta"; item_id: string; delta: string }
  | { type: "response.output_audio.done"; item_id: string }
  | { type: "response.output_audio_transcript.delta"; item_id: string; delta: string }
  | { type: "response.done"; response: { status: "completed" | "cancelled" | "failed" | "incomplete" } }
  | { type: "vita.speech_started"; item_id: string }
  | { type: "vita.output_text.delta"; item_id: string; delta: string }
  | { type: "vita.roles"; generator: string; monitor: string }
  | { type: "error"; error: { message: string; code: string | null } };

export type ClientEvent = { type: string } & Record<string, unknown>;

export const RATE_HZ = 24000;
const FORMAT = { type: "audio/pcm", rate: RATE_HZ };

/** What this page wants of a session. */
export function sessionUpdate(): ClientEvent {
  const audio = {
    input: { format: FORMAT, turn_detection: { type: "semantic_vad" }, transcription: {} },
    output: { format: FORMAT, voice: "alloy" },
  };
  return {
    type: "session.update",
    session: { type: "realtime", output_modalities: ["audio"], audio, vita: { events: true } },
  };
}

/** A piece of the microphone's sound: pcm16, base64. */
export function audioAppend(audio: string): ClientEvent {
  return { type: "input_audio_buffer.append", audio };
}

/** A message of the user or of the model that joins the conversation. */
export function itemCreate(role: "user" | "assistant", content: object[], id?: string): ClientEvent {
  const item = { ...(id ? { id } : {}), type: "message", role, content };
  return { type: "conversation.item.create", item };
}

/** A frame of the camera or the screen. */
export function frame(imageUrl: string): ClientEvent {
  return itemCreate("user", [{ type: "input_image", image_url: imageUrl }]);
}

/** Answer now; `anyway`: also what sounds like no question. */
export function responseCreate(anyway: boolean): ClientEvent {
  return { type: "response.create", ...(anyway ? { response: { vita: { state: "answer" } } } : {}) };
}

/** End the answer that is on its way. */
export function responseCancel(): ClientEvent {
  return { type: "response.cancel" };
}

/** So much of an answer was played before it fell silent. */
export function truncate(itemId: string, playedMs: number): ClientEvent {
  const audio_end_ms = Math.floor(playedMs);
  return { type: "conversation.item.truncate", item_id: itemId, content_index: 0, audio_end_ms };
}

/** So much of an answer has been played by now. */
export function played(itemId: string, playedMs: number): ClientEvent {
  return { type: "vita.output_audio_buffer.played", item_id: itemId, audio_end_ms: Math.floor(playedMs) };
}
