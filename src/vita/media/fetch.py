"""Downloading over http(s) with a ceiling on bytes, redirects and time, and a say in which addresses are reached.

Called by `source.py` only. Plain urllib; the environment's proxy variables are not read (pass `proxies`).
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from vita.errors import ConfigError, LimitError, MediaError
from vita.media.limits import MediaLimits
from vita.media.transport import Guard, build_opener

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class FetchPolicy:
    """What a source may be. A server that takes sources from strangers turns off `paths` and `private_addresses`.

    paths: whether a string or Path may name a local file.
    urls: whether http(s) URLs are followed.
    private_addresses: whether a URL may lead to a loopback, private, link-local or otherwise non-public address. The
        check is made on the very address that is then connected to, for every redirect too.
    max_redirects: redirects followed before giving up.
    proxies: scheme -> proxy URL, as urllib.request.getproxies() returns it; none by default.
    user_agent: what the download calls itself.
    """

    paths: bool = True
    urls: bool = True
    private_addresses: bool = True
    max_redirects: int = 5
    proxies: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = "vita-omni"

    def __post_init__(self) -> None:
        if self.max_redirects < 0:
            raise ConfigError("max_redirects is negative", got=self.max_redirects, expected="0 or more")
        if self.proxies and not self.private_addresses:
            raise ConfigError(
                "private_addresses=False cannot be kept with proxies: the proxy resolves the names",
                fix="drop one of the two",
            )


DEFAULT_POLICY = FetchPolicy()


def fetch(url: str, *, limits: MediaLimits, policy: FetchPolicy) -> bytes:
    """The body behind an http(s) URL.

    Raises:
        LimitError: the body is larger than `limits.max_download_bytes`, or it took longer than `limits.timeout_s`.
        MediaError: the address is not reached or not allowed, the status is not 2xx, the body is empty or cut short.
    """
    name = short_url(url)
    guard = Guard(
        name,
        timeout_s=limits.timeout_s,
        private_addresses=policy.private_addresses,
        max_redirects=policy.max_redirects,
    )
    try:
        request = urllib.request.Request(_ascii_url(url), headers={"User-Agent": policy.user_agent})
        with build_opener(guard, policy.proxies).open(request, timeout=limits.timeout_s) as response:
            return _read_body(response, name, limits.max_download_bytes)
    except urllib.error.HTTPError as error:
        error.close()
        raise _status_error(name, error) from None
    except urllib.error.URLError as error:
        raise _reach_error(name, error.reason, guard, limits) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _reach_error(name, error, guard, limits) from None


def short_url(url: str) -> str:
    """A URL for error messages: no user, password, query or fragment, and not too long."""
    try:
        parts = urllib.parse.urlsplit(url)
        text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        text = url
    return text if len(text) <= 100 else text[:97] + "..."


def _ascii_url(url: str) -> str:
    """The URL with whatever is not ASCII (or is a blank) in its path and query percent-encoded."""
    parts = urllib.parse.urlsplit(url)
    path, query = (urllib.parse.quote(text, safe="%/:=&?~+!$,;'@()*[]") for text in (parts.path, parts.query))
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def _read_body(response: http.client.HTTPResponse, name: str, max_bytes: int) -> bytes:
    """The whole body, given up as soon as it is known to be too large."""
    declared = response.headers.get("Content-Length", "")
    num_declared = int(declared) if declared.isdecimal() else None
    if num_declared is not None and num_declared > max_bytes:
        raise _too_large(name, f"{num_declared} bytes announced", max_bytes)
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(name, "more", max_bytes)
    if num_declared is not None and len(body) < num_declared:
        raise MediaError(
            f"the download of {name} was cut short",
            got=f"{len(body)} bytes",
            expected=f"{num_declared} bytes",
            fix="try again",
        )
    if not body:
        raise MediaError(f"{name} is empty (0 bytes)", fix="check the URL")
    return bytes(body)


def _too_large(name: str, got: str, max_bytes: int) -> LimitError:
    return LimitError(
        f"{name} is too large to download",
        got=got,
        expected=f"at most {max_bytes} bytes",
        fix="give a smaller file or raise max_download_bytes",
    )


def _status_error(name: str, error: urllib.error.HTTPError) -> MediaError:
    if 300 <= error.code < 400:
        return MediaError(f"{name} redirects to where a download may not go", got=f"HTTP {error.code}", fix="check it")
    return MediaError(f"{name} cannot be downloaded", got=f"HTTP {error.code} {error.reason}", fix="check the URL")


def _reach_error(name: str, reason: object, guard: Guard, limits: MediaLimits) -> MediaError:
    if guard.expired() or isinstance(reason, TimeoutError):
        return LimitError(
            f"the download of {name} took too long",
            expected=f"at most {limits.timeout_s:g} s",
            fix="try again, give a smaller file or raise timeout_s",
        )
    return MediaError(f"{name} cannot be reached", got=reason, fix="check the URL and the network")
