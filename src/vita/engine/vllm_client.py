"""A vLLM server over HTTP: chat requests, whole or streamed. Made by `vita.api`; used by the vLLM engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vita.errors import ConfigError, DependencyError, PromptError, VitaError

_CONNECT_S, _ANSWER_S = 10.0, 600.0


@dataclass(frozen=True)
class Tokens:
    """Some more of a reply.

    ids: tokens, the one that ended the reply included.
    log_probabilities: for each of them, those of the ids that were asked for.
    ending: vLLM's finish_reason with the last tokens, else None.
    """

    ids: list[int]
    log_probabilities: list[dict[int, float]]
    ending: str | None


class VllmServer:
    """One server and the model on it.

    Args:
        url: its address, with or without /v1.
        model: the name it serves the model by; None for the only one it has.
        api_key: if it asks for one.
    """

    def __init__(self, url: str, *, model: str | None = None, api_key: str | None = None) -> None:
        import httpx2

        self.url = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S)
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout, limits=httpx2.Limits())
        self._errors = httpx2.TransportError
        self._model = model

    @property
    def model(self) -> str:
        """The model's name on the server, asked for once. Raises ConfigError if there is not exactly one."""
        if self._model is None:
            with self._reached():
                found = self._http.get("/v1/models")
            _check(found.status_code, found.text)
            names = [entry["id"] for entry in found.json()["data"]]
            if len(names) != 1:
                raise ConfigError(f"the server at {self.url} has several models", got=names, fix="name one")
            self._model = names[0]
        return self._model

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sends a chat request and waits for the answer."""
        with self._reached():
            found = self._http.post("/v1/chat/completions", json={"model": self.model, **request})
        _check(found.status_code, found.text)
        return found.json()

    def stream(self, request: dict[str, Any]) -> Iterator[Tokens]:
        """Sends a chat request and yields its reply as it is written; closing the iterator ends the reply."""
        body = {
            "model": self.model, **request, "stream": True, "return_token_ids": True, "skip_special_tokens": False,
            "return_tokens_as_token_ids": True,
        }  # fmt: skip
        with self._reached(), self._http.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                _check(response.status_code, response.read().decode(errors="replace"))
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield from _tokens(json.loads(line.removeprefix("data: ")))

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise DependencyError(
                f"no vLLM server answers at {self.url}: {error}", fix="start one with: vllm serve MODEL"
            ) from error


def _tokens(event: dict[str, Any]) -> Iterator[Tokens]:
    if "error" in event:
        _check(int(event["error"].get("code") or 500), json.dumps(event))
    for choice in event.get("choices", ()):
        asked = (choice.get("logprobs") or {}).get("content") or []
        found = [{_id(one["token"]): one["logprob"] for one in step["top_logprobs"]} for step in asked]
        if choice.get("token_ids") or choice.get("finish_reason"):
            yield Tokens(list(choice.get("token_ids") or ()), found, choice.get("finish_reason"))


def _id(token: str) -> int:
    return int(token.removeprefix("token_id:"))


def _check(status: int, text: str) -> None:
    """Raises what a server's refusal is to a user of ours."""
    if status == 200:
        return
    try:
        message = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:200]
    kind: type[VitaError] = PromptError if status in (400, 422) else DependencyError
    raise kind(f"the vLLM server refused a request with status {status}: {message}")
