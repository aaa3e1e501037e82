// What is served, and the key that the server may ask for. Used by every other request.
import { Store } from "../store";

export interface ServerState {
  /** What clients call the model; empty until the server has told. */
  model: string;
  reachable: boolean;
  /** Whether a key is needed that is not there yet; "wrong" if one was given. */
  key: "fine" | "needed" | "wrong";
}

const KEY = "vita.key";
const RETRY_MS = 3000;
export const server = new Store<ServerState>({ model: "", reachable: true, key: "fine" });

/** The API key of this tab, empty if there is none. */
export function apiKey(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** Keep a key for this tab, and try it. */
export async function useKey(key: string): Promise<void> {
  sessionStorage.setItem(KEY, key);
  await meet();
}

/** The headers of a request. */
export function headers(): Record<string, string> {
  const key = apiKey();
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

/** Ask what is served; again and again while nobody answers. */
export async function meet(): Promise<void> {
  try {
    const reply = await fetch("/v1/models", { headers: headers() });
    if (reply.status === 401) {
      server.set({ reachable: true, key: apiKey() ? "wrong" : "needed" });
      return;
    }
    if (!reply.ok) throw new Error(String(reply.status));
    const { data } = (await reply.json()) as { data: { id: string }[] };
    server.set({ model: data[0]?.id ?? "", reachable: true, key: "fine" });
  } catch {
    lose();
  }
}

let waiting = 0;

/** Note that the server does not answer, and try again soon. */
export function lose(): void {
  server.set({ reachable: false });
  clearTimeout(waiting);
  waiting = window.setTimeout(() => void meet(), RETRY_MS);
}
