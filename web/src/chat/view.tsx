// The chat as it is seen: turns, examples, composer.
import { useRef } from "preact/hooks";
import { Icon } from "../icons";
import { t } from "../i18n";
import { useEnd } from "../scroll";
import { useStore } from "../store";
import { Composer } from "./composer";
import type { Chat } from "./conversation";
import { Welcome } from "./examples";
import { download, jsonOf, markdownOf } from "./export";
import { TurnView } from "./turn";

/** The view of `chat`. */
export function ChatView({ chat }: { chat: Chat }) {
  const { conversation, busy } = useStore(chat);
  const scroller = useRef<HTMLDivElement>(null);
  const { turns } = conversation;
  const watch = useEnd(scroller, turns);
  return (
    <section class="chat" aria-label={t.chat}>
      <div class="scroll" ref={scroller} onScroll={watch} tabIndex={0} role="log" aria-label={t.transcript} aria-live="off">
        {turns.length === 0 ? (
          <Welcome chat={chat} />
        ) : (
          <div class="turns">
            {turns.map((turn) => (
              <TurnView key={turn.id} turn={turn} chat={chat} busy={busy} />
            ))}
          </div>
        )}
      </div>
      <Announcer text={turns.at(-1)?.reply.status === "done" ? turns.at(-1)!.reply.text || t.silent : ""} />
      <Composer chat={chat}>{turns.length > 0 && <Exports chat={chat} />}</Composer>
    </section>
  );
}

/** Tells a screen reader a whole answer at once instead of word by word. */
function Announcer({ text }: { text: string }) {
  return (
    <p class="for-readers" role="status">
      {text}
    </p>
  );
}

function Exports({ chat }: { chat: Chat }) {
  const { conversation } = chat.state;
  const saveMarkdown = () => download("vita.md", "text/markdown", markdownOf(conversation));
  const saveJson = async () => download("vita.json", "application/json", await jsonOf(conversation));
  return (
    <details class="exports">
      <summary>
        <Icon name="save" />
        {t.exportConversation}
      </summary>
      <div>
        <button type="button" onClick={saveMarkdown}>
          {t.exportMarkdown}
        </button>
        <button type="button" onClick={() => void saveJson()}>
          {t.exportJson}
        </button>
      </div>
    </details>
  );
}
