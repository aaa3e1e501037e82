import type { Token } from "marked";
import { describe, expect, test } from "vitest";
import { EventParser } from "../src/api/events";
import { messagesOf } from "../src/api/chat";
import { markdownOf } from "../src/chat/export";
import { titleOf, type Turn } from "../src/chat/model";
import { choose, duration } from "../src/i18n";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";
import { parse, safeLink } from "../src/text/parse";

function types(text: string): string[] {
  const inner = (tokens: Token[]): string[] =>
    tokens.flatMap((token) => [token.type, ...inner("tokens" in token && token.tokens ? token.tokens : [])]);
  return inner(parse(text));
}

describe("Markdown", () => {
  test("knows formulas, inline and on their own", () => {
    expect(types("so $a^2$ and \\(b\\)").filter((type) => type === "formula")).toHaveLength(2);
    expect(parse("$$\nx = 1\n$$")[0]).toMatchObject({ type: "formula", tex: "x = 1", display: true });
  });

  test("takes prices for what they are", () => {
    expect(types("it costs $5, or $6 there")).not.toContain("formula");
  });

  test("finds no formula in code", () => {
    expect(types("`$a$`\n\n```\n$$b$$\n```")).not.toContain("formula");
  });

  test("follows only links that lead to pages", () => {
    expect(safeLink("https://example.org")).toBe("https://example.org");
    for (const href of ["javascript:alert(1)", " JavaScript:x", "data:text/html,x", "//x", "file:///x"]) {
      expect(safeLink(href)).toBeNull();
    }
  });
});

test("events are whole before they are told", () => {
  const parser = new EventParser();
  expect(parser.push('data: {"a"')).toEqual([]);
  expect(parser.push(':1}\n\ndata: [DONE]\n')).toEqual(['{"a":1}']);
  expect(parser.push("\n: a comment\n\n")).toEqual(["[DONE]"]);
});

function turn(text: string, reply: Partial<Turn["reply"]>): Turn {
  return { id: text, text, media: [], reply: { text: "", status: "done", ...reply } };
}

describe("a conversation", () => {
  const turns = [
    turn("first", { text: "one", state: "typed_query" }),
    turn("failed", { status: "failed" }),
    turn("hum", { state: "noise" }),
    turn("last", { status: "writing" }),
  ];

  test("is sent without the turns that failed, with the states of the others", async () => {
    expect(await messagesOf(turns)).toEqual([
      { role: "user", content: [{ type: "text", text: "first" }] },
      { role: "assistant", content: "one", vita: { state: "typed_query" } },
      { role: "user", content: [{ type: "text", text: "hum" }] },
      { role: "assistant", content: "", vita: { state: "noise" } },
      { role: "user", content: [{ type: "text", text: "last" }] },
    ]);
  });

  test("can be read as Markdown", () => {
    const text = markdownOf({ id: "x", title: titleOf(turns), updated: 0, turns });
    expect(text).toContain("# first\n\n**You:** first\n\n**Answer:** _(typed question)_ one");
    expect(text).toContain(en.silent);
  });
});

describe("languages", () => {
  test("follow the browser", () => {
    expect([choose(["zh-TW", "en"]), choose(["fr", "en-GB", "zh"]), choose(["fr"])]).toEqual(["zh", "en", "en"]);
  });

  test("have the same words", () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  });

  test("durations have units", () => {
    expect([duration(340.4), duration(1240)]).toEqual(["340 ms", "1.2 s"]);
  });
});
