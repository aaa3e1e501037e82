// One streamed chat completion. Called by `chat/conversation.ts`.
import type { Medium, Reply, Turn, TurnState } from "../chat/model";
import { base64 } from "../media/files";
import { t } from "../i18n";
import { eventsOf } from "./events";
import { headers, lose, server } from "./server";

export interface Progress {
  text?: string;
  state?: TurnState;
  probability?: number;
  /** pcm16, 24 kHz, base64. */
  sound?: string;
  status?: Reply["status"];
}

export interface AskOptions {
  signal: AbortSignal;
  /** Answer also what sounds like no question. */
  anyway?: boolean;
  speak?: boolean;
}

interface Chunk {
  error?: { message: string };
  choices?: {
    delta: {
      content?: string;
      audio?: { transcript?: string; data?: string };
      vita?: { state: TurnState; probabilities: Record<TurnState, number> };
    };
    finish_reason: "stop" | "length" | null;
  }[];
}

/** Ask for the reply to the last of `turns`; its pieces as they come. Throws an Error with one line for the user. */
export async function* ask(turns: Turn[], options: AskOptions): AsyncGenerator<Progress> {
  const body = {
    model: server.state.model,
    messages: await messagesOf(turns),
    stream: true,
    ...(options.anyway ? { vita: { state: "answer" } } : {}),
    ...(options.speak ? { modalities: ["text", "audio"], audio: { voice: "alloy", format: "pcm16" } } : {}),
  };
  const response = await post(JSON.stringify(body), options.signal);
  let status: Reply["status"] = "lost";
  try {
    for await (const data of eventsOf(response.body!)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new Error(chunk.error.message);
      for (const { delta, finish_reason } of chunk.choices ?? []) {
        if (finish_reason) status = finish_reason === "length" ? "cut" : "done";
        yield progressOf(delta);
      }
    }
  } catch (error) {
    if (error instanceof TypeError) throw lost(); // how fetch tells that the connection broke
    throw error;
  }
  if (status === "lost") throw lost();
  yield { status };
}

function progressOf(delta: NonNullable<Chunk["choices"]>[number]["delta"]): Progress {
  const progress: Progress = {};
  const text = delta.content ?? delta.audio?.transcript;
  if (text) progress.text = text;
  if (delta.audio?.data) progress.sound = delta.audio.data;
  if (delta.vita) {
    progress.state = delta.vita.state;
    progress.probability = delta.vita.probabilities[delta.vita.state];
  }
  return progress;
}

async function post(body: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch("/v1/chat/completions", { method: "POST", headers: headers(), body, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw lost();
  }
  if (response.ok) return response;
  if (response.status === 429 || response.status === 503) throw new Error(t.full);
  const told = (await response.json().catch(() => null)) as Chunk | null;
  throw new Error(told?.error?.message ?? `${response.status} ${response.statusText}`);
}

function lost(): Error {
  lose();
  return new Error(t.lost);
}

/** The conversation as the server reads it; turns that were never answered are left out. */
export async function messagesOf(turns: Turn[]): Promise<object[]> {
  const messages: object[] = [];
  for (const [index, { text, media, reply }] of turns.entries()) {
    const isLast = index === turns.length - 1;
    if (!isLast && !reply.state) continue;
    const content: object[] = await Promise.all(media.map(partOf));
    if (text) content.push({ type: "text", text });
    messages.push({ role: "user", content });
    if (!isLast) messages.push({ role: "assistant", content: reply.text, vita: { state: reply.state } });
  }
  return messages;
}

async function partOf({ kind, blob }: Medium): Promise<object> {
  const data = await base64(blob);
  if (kind === "audio") return { type: "input_audio", input_audio: { data, format: "wav" } };
  const url = `data:${blob.type.split(";")[0]};base64,${data}`;
  return kind === "image" ? { type: "image_url", image_url: { url } } : { type: "video_url", video_url: { url } };
}
