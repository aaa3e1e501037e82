// Picks the language that the browser prefers: Chinese or English.
import { en, type Words } from "./en";
import { zh } from "./zh";

/** The first of the browser's languages that we have. */
export function choose(languages: readonly string[]): "en" | "zh" {
  for (const name of languages) {
    if (name.toLowerCase().startsWith("zh")) return "zh";
    if (name.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

const chosen = choose(globalThis.navigator?.languages ?? []);

export const language = chosen === "zh" ? "zh-CN" : "en";
export const t: Words = chosen === "zh" ? zh : en;

/** Milliseconds as "340 ms" or "1.2 s". */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
