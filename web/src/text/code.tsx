// A block of code that can be copied.
import { useState } from "preact/hooks";
import { Icon } from "../icons";
import { t } from "../i18n";

/** Copies `text`; says for a moment that it did. */
export function CopyButton({ text, name }: { text: string; name: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class="quiet" onClick={() => void copy()} aria-label={copied ? t.copied : name} title={name}>
      <Icon name={copied ? "check" : "copy"} />
    </button>
  );
}

/** The clipboard is for secure pages only; elsewhere a selected field is copied the old way. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

/** The code, its language and a button. */
export function Code({ text, language }: { text: string; language: string }) {
  return (
    <figure class="code">
      <figcaption>
        <span>{language}</span>
        <CopyButton text={text} name={t.copyCode} />
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
