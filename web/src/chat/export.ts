// A conversation as a file: Markdown to read, JSON with the media to keep.
import { base64 } from "../media/files";
import { t } from "../i18n";
import type { Conversation } from "./model";

/** To read: what was said, the names of what was shown, the states. */
export function markdownOf({ title, turns }: Conversation): string {
  const blocks = [`# ${title || t.untitled}`];
  for (const { text, media, reply } of turns) {
    const shown = media.map(({ name }) => `[${name}]`).join(" ");
    blocks.push(`**${t.you}:** ${[shown, text].filter(Boolean).join(" ")}`);
    const state = reply.state ? ` _(${t.states[reply.state]})_` : "";
    blocks.push(`**${t.assistant}:**${state} ${reply.text || (reply.state === "noise" ? t.silent : "")}`.trimEnd());
  }
  return `${blocks.join("\n\n")}\n`;
}

/** To keep: everything, media as data URLs. */
export async function jsonOf(conversation: Conversation): Promise<string> {
  const turns = await Promise.all(
    conversation.turns.map(async ({ text, media, reply }) => ({
      text,
      media: await Promise.all(
        media.map(async ({ kind, name, blob }) => ({
          kind,
          name,
          url: `data:${blob.type};base64,${await base64(blob)}`,
        })),
      ),
      reply,
    })),
  );
  return JSON.stringify({ title: conversation.title, updated: conversation.updated, turns }, null, 2);
}

/** Give a file to the user. */
export function download(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
