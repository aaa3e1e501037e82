import { describe, expect, test } from "vitest";
import { Tape } from "../src/live/tape";
import { base64OfBytes, bytesOfBase64, kindOf } from "../src/media/files";
import { loudness, pcm16Of, Resampler, samplesOf, wavOf } from "../src/media/pcm";

function tone(hz: number, rate: number, seconds: number): Float32Array {
  return Float32Array.from({ length: rate * seconds }, (_, index) => 0.5 * Math.sin((2 * Math.PI * hz * index) / rate));
}

describe("pcm16", () => {
  test("comes back as it was, and is clipped", () => {
    const pcm = pcm16Of(Float32Array.of(0, 0.5, -0.5, 2, -2));
    expect([...pcm]).toEqual([0, 16384, -16383, 32767, -32767]);
    const back = samplesOf(new Uint8Array(pcm.buffer));
    expect(Math.abs(back[1]! - 0.5)).toBeLessThan(1e-4);
  });

  test("becomes a wav file", () => {
    const view = new DataView(wavOf(Int16Array.of(1, -2), 16000));
    expect(view.byteLength).toBe(48);
    expect(view.getUint32(24, true)).toBe(16000);
    expect(view.getInt16(46, true)).toBe(-2);
  });
});

describe("the resampler", () => {
  test.each([44100, 48000, 16000])("turns %i Hz into 24 kHz, whatever the pieces", (rate) => {
    const whole = tone(440, rate, 0.5);
    const resampler = new Resampler(rate, 24000);
    const made: number[] = [];
    for (let at = 0; at < whole.length; at += 333) made.push(...resampler.push(whole.subarray(at, at + 333)));
    expect(Math.abs(made.length - 12000)).toBeLessThan(40);
    const wanted = tone(440, 24000, 0.5);
    const errors = made.slice(200, 11800).map((sample, index) => Math.abs(sample - wanted[index + 200]!));
    expect(Math.max(...errors)).toBeLessThan(0.01);
  });

  test("lets nothing through that the new rate cannot hold", () => {
    const made = new Resampler(48000, 16000).push(tone(12000, 48000, 0.5));
    expect(loudness(made.slice(100))).toBeLessThan(0.01);
  });
});

describe("the tape", () => {
  test("gives back what was sent", () => {
    const tape = new Tape(1000, 50);
    for (let at = 0; at < 100; at += 10) tape.push(Int16Array.from({ length: 10 }, (_, index) => at + index));
    expect(tape.sentMs).toBe(100);
    expect([...tape.cut(75, 82)]).toEqual([75, 76, 77, 78, 79, 80, 81]);
    expect(tape.cut(0, 30).length).toBe(0);
    expect(tape.cut(95, 200).length).toBe(5);
  });
});

test("base64 comes back as it was", () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 256);
  const back = bytesOfBase64(base64OfBytes(bytes));
  expect(back.length).toBe(bytes.length);
  expect(back.every((byte, index) => byte === bytes[index])).toBe(true);
});

test("only pictures, clips and sounds are media", () => {
  expect([kindOf("image/png"), kindOf("audio/wav"), kindOf("text/html"), kindOf("")]).toEqual(["image", "audio", null, null]);
});
