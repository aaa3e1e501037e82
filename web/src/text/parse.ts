// Markdown with formulas to tokens. No DOM; drawn by `markdown.tsx`.
import { Marked, type Token, type Tokens } from "marked";

export interface FormulaToken extends Tokens.Generic {
  type: "formula";
  tex: string;
  display: boolean;
}

const INLINE = [/^\$(?!\s)((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)/, /^\\\(([\s\S]+?)\\\)/];
const BLOCK = [/^\$\$([\s\S]+?)\$\$(?:\n|$)/, /^\\\[([\s\S]+?)\\\](?:\n|$)/];

function formula(source: string, forms: RegExp[], display: boolean): FormulaToken | undefined {
  for (const form of forms) {
    const found = form.exec(source);
    if (found) return { type: "formula", raw: found[0], tex: found[1]!.trim(), display };
  }
  return undefined;
}

function first(source: string, marks: string[]): number | undefined {
  const found = marks.map((mark) => source.indexOf(mark)).filter((index) => index >= 0);
  return found.length ? Math.min(...found) : undefined;
}

const marked = new Marked({ gfm: true, breaks: true }).use({
  extensions: [
    {
      name: "formula",
      level: "block",
      start: (source: string) => first(source, ["$$", "\\["]),
      tokenizer: (source: string) => formula(source, BLOCK, true),
    },
    {
      name: "formula",
      level: "inline",
      start: (source: string) => first(source, ["$", "\\("]),
      tokenizer: (source: string) => formula(source, INLINE, false),
    },
  ],
});

/** The blocks of a text. */
export function parse(text: string): Token[] {
  return marked.lexer(text);
}

/** A link that may be followed, or null: only http, https and mailto. */
export function safeLink(href: string): string | null {
  return /^(https?:|mailto:)/i.test(href.trim()) ? href.trim() : null;
}
