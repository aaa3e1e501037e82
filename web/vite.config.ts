// Builds the page into the Python package, with fixed file names so that the same source gives the same files.
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const EXAMPLES = [
  "shapes.png",
  "sum.png",
  "moving.mp4",
  "capital_en.wav",
  "animal_zh.wav",
  "colour_en.wav",
  "direction_zh.wav",
  "side_talk_en.wav",
  "hum.wav",
];

/** Copies the media that the examples of the page use from the repository's examples. */
function exampleMedia(): Plugin {
  return {
    name: "example-media",
    apply: "build",
    generateBundle() {
      for (const name of EXAMPLES) {
        const source = readFileSync(new URL(`../examples/${name}`, import.meta.url));
        this.emitFile({ type: "asset", fileName: `examples/${name}`, source });
      }
    },
  };
}

/** Puts the licences of the packages whose code is in the page beside it. */
function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    generateBundle() {
      const texts = ["preact/LICENSE", "marked/LICENSE", "temml/LICENSE"].map(
        (name) => `${name}\n\n${readFileSync(new URL(`node_modules/${name}`, import.meta.url), "utf8").trim()}\n`,
      );
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join("\n\n") });
    },
  };
}

export default defineConfig({
  plugins: [exampleMedia(), licences()],
  build: {
    outDir: process.env["VITA_PAGE"] ?? "../src/vita/server/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    rollupOptions: {
      output: {
        entryFileNames: "assets/page.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "assets/[name].js" } } },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8000", ws: true }, "/health": "http://127.0.0.1:8000" } },
  test: { include: ["tests/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
