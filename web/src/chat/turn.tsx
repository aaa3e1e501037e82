// One turn: what was asked, the state that the model gave it, the answer, and what can be done with both.
import { useState } from "preact/hooks";
import { Icon } from "../icons";
import { duration, t } from "../i18n";
import { CopyButton } from "../text/code";
import { Markdown } from "../text/markdown";
import type { Chat } from "./conversation";
import { MediaView } from "./media";
import { TOKENS, type Reply, type Turn } from "./model";

/** `busy`: some answer is being written. */
export function TurnView({ turn, chat, busy }: { turn: Turn; chat: Chat; busy: boolean }) {
  const [editing, setEditing] = useState(false);
  return (
    <article class="turn">
      <div class="question" role="group" aria-label={t.you}>
        <MediaView media={turn.media} />
        {editing ? (
          <Edit
            text={turn.text}
            onCancel={() => setEditing(false)}
            onSend={(text) => {
              setEditing(false);
              void chat.again(turn.id, { text });
            }}
          />
        ) : (
          turn.text && <p>{turn.text}</p>
        )}
        {!editing && (
          <div class="actions">
            <button type="button" class="quiet" aria-label={t.edit} title={t.edit} onClick={() => setEditing(true)}>
              <Icon name="edit" />
            </button>
          </div>
        )}
      </div>
      <Answer turn={turn} chat={chat} busy={busy} />
    </article>
  );
}

function Answer({ turn, chat, busy }: { turn: Turn; chat: Chat; busy: boolean }) {
  const { reply } = turn;
  const silent = reply.state === "noise" && !reply.text;
  return (
    <div class={silent ? "answer silent" : "answer"} role="group" aria-label={t.assistant} aria-busy={reply.status === "writing"}>
      <Badge reply={reply} />
      {silent ? <p>{t.silent}</p> : <Markdown text={reply.text} />}
      {reply.status === "writing" && <span class="cursor" role="img" aria-label={t.writing} />}
      <Ending reply={reply} />
      {reply.status !== "writing" && (
        <div class="actions">
          {reply.text && <CopyButton text={reply.text} name={t.copy} />}
          <button
            type="button"
            class="quiet"
            aria-label={t.retry}
            title={t.retry}
            disabled={busy}
            onClick={() => void chat.again(turn.id)}
          >
            <Icon name="retry" />
          </button>
          {silent && (
            <button type="button" class="anyway" disabled={busy} onClick={() => void chat.again(turn.id, { anyway: true })}>
              {t.answerAnyway}
            </button>
          )}
          <Latency reply={reply} />
        </div>
      )}
    </div>
  );
}

/** What the model took the turn for. */
function Badge({ reply }: { reply: Reply }) {
  if (!reply.state) return null;
  const percent = Math.round(100 * (reply.probability ?? 1));
  return (
    <span class={`badge ${reply.state}`} data-state={reply.state} title={t.stateHelp(TOKENS[reply.state], percent)}>
      {t.states[reply.state]}
    </span>
  );
}

function Ending({ reply }: { reply: Reply }) {
  if (reply.status === "failed") {
    return (
      <p class="problem" role="alert">
        {t.failed(reply.error ?? t.lost)}
      </p>
    );
  }
  const words = { stopped: t.wasStopped, cut: t.wasCut, lost: t.wasInterrupted, writing: "", done: "" }[reply.status];
  return words ? <p class="ending">{words}</p> : null;
}

function Latency({ reply }: { reply: Reply }) {
  if (reply.firstMs === undefined || reply.totalMs === undefined) return null;
  const words = t.latency(duration(reply.firstMs), duration(reply.totalMs));
  return (
    <span class="latency" title={words}>
      {duration(reply.firstMs)}
      <span class="for-readers">{words}</span>
    </span>
  );
}

function Edit({ text, onSend, onCancel }: { text: string; onSend: (text: string) => void; onCancel: () => void }) {
  const [words, setWords] = useState(text);
  const submit = (event: Event) => {
    event.preventDefault();
    onSend(words.trim());
  };
  return (
    <form class="edit" onSubmit={submit}>
      <textarea
        aria-label={t.edit}
        value={words}
        rows={2}
        ref={(field) => field?.focus()}
        onInput={(event) => setWords(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onCancel();
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
        }}
      />
      <button type="submit" class="primary">
        {t.saveEdit}
      </button>
      <button type="button" onClick={onCancel}>
        {t.cancel}
      </button>
    </form>
  );
}
