// Entry of the page.
import { render } from "preact";
import { App } from "./app";
import { language, t } from "./i18n";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/chat.css";
import "./styles/text.css";
import "./styles/composer.css";
import "./styles/live.css";

document.documentElement.lang = language;
document.title = t.title;
render(<App />, document.getElementById("app")!);
