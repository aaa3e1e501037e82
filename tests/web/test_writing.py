"""What is written, dropped and drawn in the page, in a real browser; no answer of the model matters here."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import EXAMPLES, Open, Server

pytestmark = pytest.mark.browser
REPLY = r"""Its area is $\pi r^2$, and

$$\int_0^1 x\,dx = \tfrac12$$

```python
print("hello")
```

| a | b |
|---|---|
| 1 | **2** |

<img src="http://elsewhere.example/a.png" onerror="window.hacked = true">

![a picture](http://elsewhere.example/b.png) [a link](https://elsewhere.example/)
[another](javascript:window.hacked=true)
"""
GIVE = """({kind, place, name, type, data}) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { ...options, clipboardData: carried })
    : new DragEvent(kind, { ...options, dataTransfer: carried });
  document.querySelector(place).dispatchEvent(event);
}"""
NAMES = """[...document.querySelectorAll("a, button, input, select, textarea, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.type !== "file")"""


def give(page: Any, kind: str, path: Path, media_type: str, place: str = "body") -> None:
    """Drag a file over the page, drop it, or paste it."""
    data = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(GIVE, {"kind": kind, "place": place, "name": path.name, "type": media_type, "data": data})


def scripted(page: Any, text: str) -> None:
    """Every question is answered with this text."""
    chunks = [
        {"choices": [{"delta": {"vita": {"state": "typed_query", "probabilities": {"typed_query": 0.97}}}}]},
        {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(content_type="text/event-stream", body=body))


def write(page: Any, text: str) -> None:
    """Send a message and wait for the answer."""
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")
    page.locator(".answer .actions").last.wait_for()


def test_markdown_formulas_and_code_are_drawn_and_nothing_is_run(server: Server, open_page: Open) -> None:
    page = open_page(server.url, permissions=["clipboard-read", "clipboard-write"])
    scripted(page, REPLY)
    write(page, "What is its area?")
    page.locator(".formula math").nth(1).wait_for()
    assert page.locator(".formula.display math").count() == 1
    assert page.locator("table td strong").inner_text() == "2"
    page.get_by_role("button", name="Copy the code").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == 'print("hello")'
    page.get_by_role("button", name="Copy", exact=True).click()
    assert page.evaluate("navigator.clipboard.readText()") == REPLY
    links = page.locator(".markdown a").evaluate_all("links => links.map(({href}) => href)")
    assert links == ["https://elsewhere.example/"]
    assert page.locator(".markdown img").count() == 0
    assert page.evaluate("window.hacked") is None
    badge = page.locator(".badge")
    assert (badge.inner_text(), badge.get_attribute("title")) == ("typed question", "state token <3>, 97 % sure")


def test_files_are_dropped_and_pasted(server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(server.url)
    give(page, "dragover", EXAMPLES / "shapes.png", "image/png")
    page.get_by_text("Drop pictures, clips and sounds here").wait_for()
    give(page, "drop", EXAMPLES / "shapes.png", "image/png")
    page.locator(".tray img").wait_for()
    assert page.get_by_text("Drop pictures, clips and sounds here").count() == 0
    give(page, "paste", EXAMPLES / "moving.mp4", "video/mp4", ".composer textarea")
    page.locator(".tray video").wait_for()
    give(page, "drop", EXAMPLES / "hum.wav", "audio/wav")
    page.locator(".tray audio").wait_for()
    page.get_by_role("button", name="Remove moving.mp4").click()
    assert page.locator(".tray li").count() == 2
    notes = tmp_path / "notes.txt"
    notes.write_text("no medium")
    give(page, "drop", notes, "text/plain")
    assert page.get_by_role("alert").inner_text() == "notes.txt is no picture, clip or sound"
    with page.expect_request("**/v1/chat/completions") as asked:
        page.get_by_label("Your message").fill("Where is the star?")
        page.keyboard.press("Enter")
    content = asked.value.post_data_json["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["image_url", "input_audio", "text"]


def test_conversations_are_saved_with_their_media_and_thrown_away(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    scripted(page, "right")
    page.locator("input[type=file]").set_input_files(EXAMPLES / "shapes.png")
    page.locator(".tray img").wait_for()
    write(page, "Where is the star?")
    with page.expect_download() as saved:
        page.get_by_text("Save as a file").click()
        page.get_by_role("button", name="Save as JSON with media").click()
    kept = json.loads(saved.value.path().read_text(encoding="utf-8"))
    picture = kept["turns"][0]["media"][0]["url"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(picture) == (EXAMPLES / "shapes.png").read_bytes()
    assert kept["turns"][0]["reply"]["text"] == "right"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete “Where is the star?”").click()
    page.get_by_text("Nothing here yet.").wait_for()
    page.get_by_role("heading", name="What would you like to know?").wait_for()


@pytest.mark.parametrize("view", ["chat", "live"])
def test_everything_is_reached_by_keyboard_and_has_a_name(server: Server, open_page: Open, view: str) -> None:
    page = open_page(f"{server.url}/#{view}")
    scripted(page, REPLY)
    if view == "chat":
        write(page, "What is its area?")
    else:
        page.get_by_role("button", name="Start talking").and_(page.locator(":enabled")).wait_for()
    page.evaluate("document.activeElement.blur()")
    number = page.evaluate(f"{NAMES}.length")
    reached = set()
    for _ in range(number + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"{NAMES}.indexOf(document.activeElement)"))
    assert reached >= set(range(number))
    unnamed = page.evaluate(
        f"{NAMES}.filter((one) => !(one.ariaLabel || one.innerText || one.labels?.[0]?.innerText"
        " || one.matches('pre, .table'))).map((one) => one.outerHTML)"
    )
    assert unnamed == []


def test_the_page_follows_the_language_of_the_browser(server: Server, open_page: Open) -> None:
    page = open_page(server.url, locale="zh-CN")
    page.get_by_role("button", name="新对话").wait_for()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
