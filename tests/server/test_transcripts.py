"""What spoken replies said is kept for an hour, and not without end."""

from __future__ import annotations

import pytest

from vita.server import transcripts
from vita.server.transcripts import Transcripts


def test_kept_for_an_hour() -> None:
    clock = [1000.0]
    kept = Transcripts(lambda: clock[0])
    audio_id, expires_at = kept.new_id()
    kept.keep(audio_id, "hello")
    clock[0] = expires_at - 1
    assert kept.find(audio_id) == "hello"
    clock[0] = expires_at + 1
    assert kept.find(audio_id) is None
    assert kept.find("audio_unknown") is None


def test_only_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "_MOST", 2)
    kept = Transcripts()
    for name in "abc":
        kept.keep(name, name)
    assert [kept.find(name) for name in "abc"] == [None, "b", "c"]
