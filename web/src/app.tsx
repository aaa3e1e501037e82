// The frame of the page: header, list of conversations, and the two views.
import { useEffect, useState } from "preact/hooks";
import { meet, server } from "./api/server";
import { Chat } from "./chat/conversation";
import { ConversationList } from "./chat/list";
import { ChatView } from "./chat/view";
import { Icon } from "./icons";
import { t } from "./i18n";
import { KeyForm } from "./key";
import { LiveView } from "./live/view";
import { useStore } from "./store";

type View = "chat" | "live";
const chat = new Chat();

function viewOf(hash: string): View {
  return hash === "#live" ? "live" : "chat";
}

/** The whole page. */
export function App() {
  const [view, setView] = useState<View>(viewOf(location.hash));
  const [menu, setMenu] = useState(false);
  const { model, reachable, key } = useStore(server);
  useEffect(() => {
    void meet();
    void chat.restore();
    const follow = () => setView(viewOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const begin = () => {
    void chat.fresh();
    location.hash = "chat";
    setMenu(false);
  };
  return (
    <div class={menu ? "frame with-menu" : "frame"}>
      <header>
        <button
          type="button"
          class="quiet menu-button"
          aria-expanded={menu}
          aria-controls="conversations"
          aria-label={menu ? t.hideMenu : t.showMenu}
          onClick={() => setMenu(!menu)}
        >
          <Icon name={menu ? "close" : "menu"} />
        </button>
        <h1>vita</h1>
        <nav aria-label={t.views}>
          {(["chat", "live"] as const).map((name) => (
            <a href={`#${name}`} aria-current={view === name ? "page" : undefined}>
              {t[name]}
            </a>
          ))}
        </nav>
        <span class="model">{model}</span>
      </header>
      <ConversationList chat={chat} onChoose={() => setMenu(false)} onNew={begin} />
      <main>
        {!reachable && (
          <p class="notice" role="status">
            {t.unreachable}
          </p>
        )}
        {key !== "fine" ? <KeyForm wrong={key === "wrong"} /> : view === "chat" ? <ChatView chat={chat} /> : <LiveView />}
      </main>
    </div>
  );
}
