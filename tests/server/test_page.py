"""The page's files: what is served, to whom, and under which headers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.server.conftest import Bench
from vita.server.page import Page

pytestmark = pytest.mark.anyio


async def test_the_page_is_there_and_loads_only_from_here(bench: Bench) -> None:
    reply = await bench.http.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert not any(word in policy for word in ("unsafe", "http", "*", "data:"))
    assert reply.headers["x-content-type-options"] == "nosniff"
    for name in ("/assets/page.js", "/assets/index.css", "/examples/shapes.png"):
        assert (await bench.http.get(name)).status_code == 200, name


async def test_other_replies_keep_the_strict_policy(bench: Bench) -> None:
    reply = await bench.http.get("/v1/models")
    assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/index.html", "/../app.py", "/assets/", "/assets/..%2f..%2fapp.py", "/examples"])
async def test_nothing_else_is_served(bench: Bench, path: str) -> None:
    assert (await bench.http.get(path)).status_code == 404


async def test_the_page_needs_no_key_but_the_model_does() -> None:
    bench = Bench(api_keys=("secret-key-1",))
    assert (await bench.http.get("/")).status_code == 200
    assert (await bench.http.get("/v1/models")).status_code == 401
    assert (await bench.http.get("/nothing")).status_code == 401
    await bench.http.aclose()


async def test_a_page_of_another_name_may_not_have_it(bench: Bench) -> None:
    assert (await bench.http.get("/", headers={"Host": "evil.example"})).status_code == 403


async def test_what_the_browser_has_is_not_sent_again(bench: Bench) -> None:
    first = await bench.http.get("/assets/page.js")
    again = await bench.http.get("/assets/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_compressed_files_are_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(b"<p>hello</p>" * 100)
    (tmp_path / "icon.png").write_bytes(b"png")
    page = Page(tmp_path)
    assert page.paths == {"/", "/icon.png"}
    html, icon = page._files["/"], page._files["/icon.png"]
    assert html.zipped is not None
    assert gzip.decompress(html.zipped) == html.plain
    assert icon.zipped is None
