// The chat: its conversation, and everything the user can do to it. Shown by `view.tsx`.
import { ask, type Progress } from "../api/chat";
import { t } from "../i18n";
import { Player } from "../media/player";
import { Store } from "../store";
import * as history from "./history";
import { newConversation, newId, titleOf, type Conversation, type Medium, type Reply, type Turn } from "./model";

export interface ChatState {
  conversation: Conversation;
  /** Kept conversations, the last one first. */
  kept: history.Summary[];
  canKeep: boolean;
  busy: boolean;
  speak: boolean;
}

const KEEP_EVERY_MS = 400;
const CURRENT = "vita.conversation";

/** The chat of this page. */
export class Chat extends Store<ChatState> {
  private running: AbortController | null = null;
  private player: Player | null = null;
  private keptAt = 0;

  constructor() {
    super({ conversation: newConversation(), kept: [], canKeep: true, busy: false, speak: false });
  }

  /** Show the conversation that was open when the page was left. */
  async restore(): Promise<void> {
    if (!(await history.canKeep())) return this.set({ canKeep: false });
    this.set({ kept: await history.list() });
    const id = sessionStorage.getItem(CURRENT);
    if (id) await this.open(id);
  }

  /** Show a kept conversation. */
  async open(id: string): Promise<void> {
    await this.leave();
    const found = await history.find(id);
    if (!found) return;
    const turns = found.turns.map((turn) =>
      turn.reply.status === "writing" ? { ...turn, reply: { ...turn.reply, status: "lost" as const } } : turn,
    );
    this.show({ ...found, turns });
  }

  /** Begin a new one. */
  async fresh(): Promise<void> {
    await this.leave();
    this.show(newConversation());
  }

  /** Throw a kept conversation away. */
  async remove(id: string): Promise<void> {
    if (id === this.state.conversation.id) await this.fresh();
    await history.remove(id);
    this.set({ kept: await history.list() });
  }

  /** Ask. */
  async send(text: string, media: Medium[]): Promise<void> {
    await this.answer([...this.state.conversation.turns, this.turn(text, media)]);
  }

  /** Ask a turn again, with other words if given; what came after it is gone. `anyway`: it was meant for the model. */
  async again(id: string, changes: { text?: string; anyway?: boolean } = {}): Promise<void> {
    const turns = this.state.conversation.turns;
    const index = turns.findIndex((turn) => turn.id === id);
    if (index < 0) return;
    const { text, media } = turns[index]!;
    await this.answer([...turns.slice(0, index), this.turn(changes.text ?? text, media)], changes.anyway);
  }

  /** End the answer that goes on. */
  stop(): void {
    this.running?.abort();
    this.player?.clear();
  }

  /** Whether answers are spoken. To be called in a click. */
  async setSpeak(speak: boolean): Promise<void> {
    this.player?.clear();
    if (speak) this.player ??= await Player.open();
    this.set({ speak });
  }

  /** End the answer that goes on, and keep what there is of it. */
  private async leave(): Promise<void> {
    this.stop();
    const last = this.state.conversation.turns.at(-1);
    if (last?.reply.status !== "writing") return;
    this.running = null;
    this.write(last, { ...last.reply, status: "stopped" });
    await this.save();
  }

  private turn(text: string, media: Medium[]): Turn {
    return { id: newId(), text, media, reply: { text: "", status: "writing" } };
  }

  private async answer(turns: Turn[], anyway = false): Promise<void> {
    this.stop();
    const { id } = this.state.conversation;
    this.show({ id, turns, title: titleOf(turns), updated: Date.now() });
    const running = (this.running = new AbortController());
    this.set({ busy: true });
    const begun = performance.now();
    const turn = turns.at(-1)!;
    let reply: Reply = turn.reply;
    const change = (changes: Partial<Reply>) => {
      if (this.running === running) this.write(turn, (reply = { ...reply, ...changes }));
    };
    try {
      for await (const piece of ask(turns, { signal: running.signal, anyway, speak: this.state.speak })) {
        this.sound(turn.id, piece);
        change(this.changed(reply, piece, performance.now() - begun));
      }
    } catch (error) {
      if (running.signal.aborted) change({ status: "stopped" });
      else change({ status: "failed", error: error instanceof Error ? error.message : t.lost });
    }
    if (this.running !== running) return;
    change({ totalMs: performance.now() - begun });
    this.running = null;
    this.set({ busy: false });
    await this.save();
  }

  private changed(reply: Reply, piece: Progress, ms: number): Partial<Reply> {
    const { text, sound: _, ...rest } = piece;
    if (!text) return rest;
    return { ...rest, text: reply.text + text, ...(reply.text ? {} : { firstMs: ms }) };
  }

  private sound(id: string, piece: Progress): void {
    if (!this.state.speak || !this.player) return;
    if (piece.sound) this.player.add(id, piece.sound);
    if (piece.status) this.player.last(id);
  }

  private write(turn: Turn, reply: Reply): void {
    const { conversation } = this.state;
    const turns = conversation.turns.map((other) => (other.id === turn.id ? { ...other, reply } : other));
    this.set({ conversation: { ...conversation, turns } });
    if (performance.now() - this.keptAt > KEEP_EVERY_MS) void this.save();
  }

  private show(conversation: Conversation): void {
    this.running = null;
    this.set({ conversation, busy: false });
    if (conversation.turns.length) void this.save();
    else sessionStorage.removeItem(CURRENT);
  }

  private async save(): Promise<void> {
    if (!this.state.canKeep) return;
    this.keptAt = performance.now();
    const { conversation } = this.state;
    sessionStorage.setItem(CURRENT, conversation.id);
    try {
      await history.keep(conversation);
      this.set({ kept: await history.list() });
    } catch {
      this.set({ canKeep: false }); // the disk is full, say
    }
  }
}
