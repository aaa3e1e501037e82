"""The web page: its built files, read once, at `/` and beside it. `app.py` adds the routes.

The files under `static/` are made from `web/` by `make web` and committed. Whoever reaches the server may load them:
they hold nothing secret, and the page is where a user types the API key.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

_FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
}
_COMPRESSIBLE = (".html", ".js", ".css", ".svg")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; "
        "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(self), display-capture=(self), geolocation=()",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class PageFile:
    """One file as it is sent. zipped: None where compression would not help."""

    plain: bytes
    zipped: bytes | None
    kind: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> PageFile:
        """From the disk."""
        plain = path.read_bytes()
        zipped = gzip.compress(plain, mtime=0) if path.suffix in _COMPRESSIBLE else None
        return cls(plain, zipped, _KINDS[path.suffix], f'"{hashlib.sha256(plain).hexdigest()[:32]}"')

    def reply(self, request: Request) -> Response:
        """Compressed for clients that take it; empty for those that have it."""
        headers = {**_HEADERS, "ETag": self.etag}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if self.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.kind)
        return Response(self.plain, headers=headers, media_type=self.kind)


class Page:
    """The files by the paths under which they are served.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path = _FOLDER) -> None:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        self._files = {f"/{path.relative_to(folder).as_posix()}": PageFile.read(path) for path in found}
        self._files["/"] = self._files.pop("/index.html")

    @property
    def paths(self) -> frozenset[str]:
        """All of them: what is not listed here is not served."""
        return frozenset(self._files)

    def router(self) -> APIRouter:
        """A route for each."""
        router = APIRouter()

        async def send(request: Request) -> Response:
            return self._files[request.url.path].reply(request)

        for path in self._files:
            router.add_api_route(path, send, methods=["GET", "HEAD"], include_in_schema=False)
        return router
