"""Numbers for Prometheus, at /metrics. One registry per application, so that tests and embedders may have several."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vita.engine.protocol import Result

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """What is counted; each attribute is a Prometheus metric."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("vita_requests", "requests answered", ["route", "status"], registry=registry)
        self.running = Gauge("vita_replies_running", "replies being written", registry=registry)
        self.waiting = Gauge("vita_replies_waiting", "requests that wait for their turn", registry=registry)
        self.refused = Counter("vita_replies_refused", "requests refused because the queue was full", registry=registry)
        self.replies = Counter("vita_replies", "replies by how they ended", ["ending"], registry=registry)
        self.turns = Counter("vita_turns", "turns by what the model took them for", ["state"], registry=registry)
        self.tokens = Counter("vita_tokens", "tokens read and written", ["kind"], registry=registry)
        self.prefill = Histogram(
            "vita_prefill_seconds", "reading a turn, until its state is known", buckets=_SECONDS, registry=registry
        )
        self.writing = Histogram(
            "vita_reply_seconds", "a whole reply, reading included", buckets=_SECONDS, registry=registry
        )
        self.sessions = Gauge("vita_sessions", "realtime sessions that are open", registry=registry)
        self.session_ends = Counter(
            "vita_session_ends", "realtime sessions by how they ended", ["ending"], registry=registry
        )
        self.interruptions = Counter("vita_interruptions", "answers cut off, by whom", ["by"], registry=registry)
        self.first_audio = Histogram(
            "vita_first_audio_seconds", "from the end of a spoken turn to the first sound of its answer",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.spoken = Counter("vita_spoken_seconds", "seconds of speech made", registry=registry)

    def note_reply(self, result: Result) -> None:
        """Count a reply that has ended; "aborted": at a stop sequence, or because its client left."""
        self.replies.labels(result.ending).inc()
        self.turns.labels(result.state.value).inc()
        self.tokens.labels("prompt").inc(result.usage.prompt_tokens)
        self.tokens.labels("completion").inc(result.usage.completion_tokens)
        self.prefill.observe(result.timing.prefill_ms / 1000)
        self.writing.observe(result.timing.total_ms / 1000)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


def summed(texts: Iterable[str]) -> str:
    """Numbers of several processes, each in Prometheus' text format -> their sums; of times of creation the first."""
    comments: dict[str, list[str]] = {}
    families: dict[str, dict[str, float]] = {}
    for text in texts:
        family = ""
        for line in filter(None, text.splitlines()):
            if line.startswith("#"):
                family = line.split()[2]
                kept = comments.setdefault(family, [])
                kept += [] if line in kept else [line]
                continue
            name, _, value = line.rpartition(" ")
            found = families.setdefault(family, {})
            put = min if family.endswith("_created") else (lambda old, new: old + new)
            found[name] = put(found[name], float(value)) if name in found else float(value)
    rows = [
        row
        for family, kept in comments.items()
        for row in (*kept, *(f"{name} {value}" for name, value in families.get(family, {}).items()))
    ]
    return "\n".join([*rows, ""])
