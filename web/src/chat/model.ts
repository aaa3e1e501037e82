// What a conversation is. Plain data, kept in the browser as it is.

export type TurnState = "typed_query" | "spoken_query" | "noise";
export type MediaKind = "image" | "video" | "audio";

export interface Medium {
  kind: MediaKind;
  name: string;
  blob: Blob;
}

export interface Reply {
  text: string;
  /** What the model took the turn for; missing until it has told. */
  state?: TurnState;
  probability?: number;
  status: "writing" | "done" | "stopped" | "cut" | "lost" | "failed";
  /** One line, for a reply that failed. */
  error?: string;
  firstMs?: number;
  totalMs?: number;
}

/** What the user said and showed, and what came back. */
export interface Turn {
  id: string;
  text: string;
  media: Medium[];
  reply: Reply;
}

export interface Conversation {
  id: string;
  title: string;
  updated: number;
  turns: Turn[];
}

/** The spelling of the state tokens. */
export const TOKENS: Record<TurnState, string> = { spoken_query: "<1>", noise: "<2>", typed_query: "<3>" };

export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A conversation in which nothing was said. */
export function newConversation(): Conversation {
  return { id: newId(), title: "", updated: Date.now(), turns: [] };
}

/** Its first words, or the name of the first thing that was shown. */
export function titleOf(turns: Turn[]): string {
  for (const { text, media } of turns) {
    const words = text.trim() || media[0]?.name || "";
    if (words) return words.length > 60 ? `${words.slice(0, 59)}…` : words;
  }
  return "";
}
