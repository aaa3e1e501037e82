import { describe, expect, test } from "vitest";
import type { ServerEvent } from "../src/live/protocol";
import { beginSound, EMPTY, heardAndCut, newLine, phaseOf, reduce, type Scene } from "../src/live/scene";

const SECOND = "A".repeat(64_000); // base64 of one second of pcm16 at 24 kHz

function play(events: [ServerEvent, number?][], scene: Scene = EMPTY): Scene {
  return events.reduce((before, [event, sentMs]) => reduce(before, event, sentMs ?? 0), scene);
}

const QUESTION: [ServerEvent, number?][] = [
  [{ type: "input_audio_buffer.speech_started", item_id: "q", audio_start_ms: 500 }],
  [{ type: "input_audio_buffer.speech_stopped", item_id: "q", audio_end_ms: 2000 }],
  [added("q", "spoken_query"), 2300],
  [{ type: "response.created", response: { id: "r" } }],
];
const ANSWER: [ServerEvent, number?][] = [
  [{ type: "response.output_item.added", item: { id: "a", role: "assistant", content: [] } }],
  [{ type: "vita.output_text.delta", item_id: "a", delta: "one two three" }],
  [{ type: "response.output_audio.delta", item_id: "a", delta: SECOND }, 2400],
  [{ type: "response.output_audio_transcript.delta", item_id: "a", delta: "one " }],
  [{ type: "response.output_audio.delta", item_id: "a", delta: SECOND }],
  [{ type: "response.output_audio_transcript.delta", item_id: "a", delta: "two " }],
];

function added(id: string, state: "spoken_query" | "noise", transcript: string | null = null): ServerEvent {
  const content = [{ type: "input_audio", transcript }];
  return { type: "conversation.item.added", item: { id, role: "user", content, vita: { state } } };
}

describe("the state of a live conversation", () => {
  test("goes from listening to hearing, thinking and speaking", () => {
    const phases = [...QUESTION, ...ANSWER].map((_, count, all) => phaseOf(play(all.slice(0, count + 1))));
    expect(phases).toEqual([
      "hearing", "thinking", "thinking", "thinking", "thinking", "thinking", "speaking", "speaking", "speaking", "speaking",
    ]); // prettier-ignore
    expect(phaseOf(EMPTY)).toBe("listening");
  });

  test("shows noise as ignored, with the place of its sound", () => {
    const scene = play([...QUESTION.slice(0, 2), [added("q", "noise"), 2400]]);
    expect(phaseOf(scene)).toBe("ignored");
    expect(scene.lines).toMatchObject([{ id: "q", kind: "noise", from: 500, to: 2000 }]);
  });

  test("shows the words of a turn where the ear tells them", () => {
    const scene = play([[added("q", "spoken_query", "what is it"), 900], [added("n", "noise", "dinner is ready"), 2000]]);
    expect(scene.lines).toMatchObject([
      { kind: "spoken", text: "what is it" },
      { kind: "noise", text: "dinner is ready" },
    ]);
    expect(play(QUESTION).lines[0]).toMatchObject({ kind: "spoken", text: "" });
  });

  test("keeps answering while somebody else talks", () => {
    const talk: [ServerEvent, number?][] = [
      [{ type: "vita.speech_started", item_id: "n" }, 5000],
      [added("n", "noise"), 6500],
    ];
    const scene = play([...QUESTION, ...ANSWER, ...talk]);
    expect(phaseOf(scene)).toBe("speaking");
    expect(scene.lines.at(-1)).toMatchObject({ kind: "noise", from: 4200, to: 6500 });
  });

  test("tells two turns apart that overlap", () => {
    const events: [ServerEvent, number?][] = [
      [{ type: "vita.speech_started", item_id: "n" }, 2000],
      [{ type: "input_audio_buffer.speech_started", item_id: "q", audio_start_ms: 4000 }],
      [added("n", "noise"), 4200],
    ];
    const scene = play(events);
    expect(phaseOf(scene)).toBe("hearing");
    expect(scene.lines).toMatchObject([{ id: "n", from: 1200, to: 4200 }]);
  });

  test("measures from the end of the question until the first sound is played", () => {
    const sent = play([...QUESTION, ...ANSWER]);
    expect(sent.lines.at(-1)?.latencyMs).toBeUndefined();
    const next = newLine("later", "typed", "another");
    const heard = beginSound({ ...sent, lines: [...sent.lines, { ...next, askedMs: 2500 }] }, "a", 2650);
    expect(heard.lines[1]?.latencyMs).toBe(650);
  });

  test("forgets an error with the next answer, and shows none for an answer that had just ended", () => {
    const error = (code: string): [ServerEvent] => [{ type: "error", error: { message: "no", code } }];
    expect(play([error("response_cancel_not_active")]).error).toBe("");
    expect(play([error("invalid_value")]).error).toBe("no");
    expect(play([error("invalid_value"), ...QUESTION]).error).toBe("");
  });

  test("knows no line for frames of the camera, nor a second one for what it has sent itself", () => {
    const frame = { id: "f", role: "user" as const, content: [{ type: "input_image" }] };
    const scene = play([...QUESTION, [{ type: "conversation.item.added", item: frame }], QUESTION[2]!]);
    expect(scene.lines.map(({ id }) => id)).toEqual(["q"]);
  });
});

describe("an answer", () => {
  test("shows its words as they are spoken", () => {
    expect(heardAndCut(play([...QUESTION, ...ANSWER]).lines.at(-1)!)).toEqual({ heard: "one two ", cut: "" });
  });

  test("that is interrupted is cut behind what was heard", () => {
    const cut = play([...QUESTION, ...ANSWER, [{ type: "conversation.item.truncated", item_id: "a", audio_end_ms: 1200 }]]);
    expect(heardAndCut(cut.lines.at(-1)!)).toEqual({ heard: "one ", cut: "two three" });
  });
});
