// The websocket of a live conversation: opened, opened again when it breaks, closed. Used by `live.ts`.
import { apiKey, server } from "../api/server";
import type { ClientEvent, ServerEvent } from "./protocol";

/** Close codes with which the server says that it will not have this session: policy, try later. */
const REFUSALS = new Set([1008, 1013]);
const WAITS_MS = [300, 600, 1200, 2500, 5000];

export interface ConnectionEvents {
  /** It is open; `isNew`: with a session that knows nothing of what was said before. */
  onOpen(isNew: boolean): void;
  onEvent(event: ServerEvent): void;
  /** It broke, and is tried again. */
  onLost(): void;
  /** It cannot be opened at all; `reason`: the server's words, if any. */
  onRefused(reason: string): void;
}

/** One connection that lasts until `close`. */
export class Connection {
  private socket: WebSocket | null = null;
  private timer = 0;
  private failures = 0;
  private session = "";
  private wasOpen = false;
  private isForgotten = false;
  private isReady = false;
  private isClosed = false;

  constructor(private events: ConnectionEvents) {
    this.open();
  }

  /** Send an event; nothing happens while the connection is down. */
  send(event: ClientEvent): void {
    if (this.isOpen) this.socket!.send(JSON.stringify(event));
  }

  /** Whether the session has begun. What was sent before that would be lost to the clock of its sound. */
  get isOpen(): boolean {
    return this.isReady && this.socket?.readyState === WebSocket.OPEN;
  }

  /** End it for good. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private open(): void {
    const url = new URL("/v1/realtime", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("model", server.state.model);
    if (this.session) url.searchParams.set("session_id", this.session); // the server keeps it for a minute
    const key = apiKey();
    const socket = new WebSocket(url, ["realtime", ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
    this.socket = socket;
    socket.onmessage = ({ data }) => this.take(JSON.parse(data as string) as ServerEvent);
    socket.onclose = ({ code, reason }) => this.lost(code, reason);
  }

  private take(event: ServerEvent): void {
    if (event.type === "error" && event.error.code === "session_not_found") {
      this.session = ""; // the server was away for too long, or begun again: a new session, then
      this.isForgotten = true;
      return;
    }
    if (event.type === "session.created") {
      this.wasOpen = this.isReady = true;
      this.isForgotten = false;
      this.failures = 0;
      this.session = event.session.id;
      this.events.onOpen(!event.session.vita_resumed);
    }
    this.events.onEvent(event);
  }

  private lost(code: number, reason: string): void {
    this.isReady = false;
    if (this.isClosed) return;
    this.failures += 1;
    const isRefused = REFUSALS.has(code) && !this.isForgotten;
    if (isRefused || (!this.wasOpen && this.failures > 2)) {
      this.isClosed = true;
      this.events.onRefused(reason);
      return;
    }
    this.events.onLost();
    this.timer = window.setTimeout(() => this.open(), WAITS_MS[Math.min(this.failures, WAITS_MS.length) - 1]);
  }
}
