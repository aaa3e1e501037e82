// What an empty chat shows: examples to click, and what the embedded model can and cannot do.
import { server } from "../api/server";
import { Icon, type IconName } from "../icons";
import { t } from "../i18n";
import { useStore } from "../store";
import type { Chat } from "./conversation";
import type { Medium } from "./model";
import { kindOf } from "../media/files";

interface Example {
  icon: IconName;
  title: string;
  text?: string;
  files?: string[];
}

const EXAMPLES: Example[] = [
  { icon: "edit", title: t.exampleTyped, text: t.exampleTypedText },
  { icon: "edit", title: t.exampleSum, text: t.exampleSumText },
  { icon: "camera", title: t.examplePicture, text: t.examplePictureText, files: ["shapes.png"] },
  { icon: "mic", title: t.examplePictureSpoken, files: ["shapes.png", "colour_en.wav"] },
  { icon: "camera", title: t.examplePrint, text: t.examplePrintText, files: ["sum.png"] },
  { icon: "camera", title: t.exampleClip, text: t.exampleClipText, files: ["moving.mp4"] },
  { icon: "mic", title: t.exampleClipSpoken, files: ["moving.mp4", "direction_zh.wav"] },
  { icon: "mic", title: t.exampleSpoken, files: ["capital_en.wav"] },
  { icon: "mic", title: t.exampleSpokenZh, files: ["animal_zh.wav"] },
  { icon: "edit", title: t.exampleStory, text: t.exampleStoryText },
  { icon: "speaker", title: t.exampleSideTalk, files: ["side_talk_en.wav"] },
  { icon: "speaker", title: t.exampleNoise, files: ["hum.wav"] },
];
const OPTION = "--model";
const LARGER_MODELS = "https://huggingface.co/VITA-MLLM";

async function load(name: string): Promise<Medium> {
  const response = await fetch(`/examples/${name}`);
  const blob = await response.blob();
  return { kind: kindOf(blob.type) ?? "image", name, blob };
}

/** Asks in `chat`. */
export function Welcome({ chat }: { chat: Chat }) {
  const { model } = useStore(server);
  const ask = async ({ text, files }: Example) => chat.send(text ?? "", await Promise.all((files ?? []).map(load)));
  const [before, after] = t.pocketMore.split(OPTION);
  return (
    <div class="welcome">
      <h2>{t.welcome}</h2>
      {model === "pocket" && (
        <p class="hint">
          {t.pocketCan}{" "}
          <a href={LARGER_MODELS} target="_blank" rel="noopener noreferrer">
            {t.largerModels}
          </a>{" "}
          {before}
          <code>{OPTION}</code>
          {after}
        </p>
      )}
      <h3>{t.examples}</h3>
      <ul class="examples">
        {EXAMPLES.map((example) => (
          <li>
            <button type="button" disabled={!model} onClick={() => void ask(example)}>
              <Icon name={example.icon} />
              <span>
                <b>{example.title}</b>
                {example.text && <small>{example.text}</small>}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
