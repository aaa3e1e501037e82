// The kept conversations, beside the chat; on a phone it slides in.
import { Icon } from "../icons";
import { t } from "../i18n";
import { useStore } from "../store";
import type { Chat } from "./conversation";

/** `onChoose`: one was opened. */
export function ConversationList({ chat, onChoose, onNew }: { chat: Chat; onChoose: () => void; onNew: () => void }) {
  const { kept, canKeep, conversation } = useStore(chat);
  const open = (id: string) => {
    void chat.open(id);
    location.hash = "chat";
    onChoose();
  };
  const remove = (id: string, title: string) => {
    if (confirm(t.confirmDelete(title))) void chat.remove(id);
  };
  return (
    <aside id="conversations" aria-label={t.conversations}>
      <button type="button" class="new" onClick={onNew}>
        <Icon name="plus" /> {t.newConversation}
      </button>
      {kept.length === 0 && <p class="hint">{t.noConversations}</p>}
      <ul>
        {kept.map(({ id, title }) => {
          const name = title || t.untitled;
          return (
            <li class={id === conversation.id ? "current" : ""}>
              <button
                type="button"
                class="title"
                aria-label={t.openConversation(name)}
                aria-current={id === conversation.id}
                onClick={() => open(id)}
              >
                {name}
              </button>
              <button type="button" class="quiet" aria-label={t.deleteConversation(name)} onClick={() => remove(id, name)}>
                <Icon name="trash" />
              </button>
            </li>
          );
        })}
      </ul>
      <p class="hint">{canKeep ? t.keptHere : t.notKept}</p>
    </aside>
  );
}
