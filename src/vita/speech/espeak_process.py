"""The process that holds espeak-ng (GPL-3): `python -m vita.speech.espeak_process LANGUAGE`.

Started and spoken to by `vita.speech.espeak.Espeak`: requests on stdin, replies on stdout, each a JSON header and a
payload with their lengths in front. Every utterance is spoken in a fork of a library that has not spoken yet, so that
the same request gives the same samples, and a crash of the library costs one utterance.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from typing import IO, Any

from vita.errors import VitaError
from vita.speech.espeak_library import EspeakLibrary

_LENGTHS = struct.Struct("!II")


def write_message(stream: IO[bytes], header: dict[str, Any], payload: bytes = b"") -> None:
    """Send one message."""
    head = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(head), len(payload)) + head + payload)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Receive one message; None at the end of the stream."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    num_head, num_payload = _LENGTHS.unpack(lengths)
    head, payload = stream.read(num_head), stream.read(num_payload)
    if len(head) < num_head or len(payload) < num_payload:
        return None
    return json.loads(head), payload


def answer(library: EspeakLibrary, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The reply to one request: samples, phonemes, or the error of the request."""
    arguments = dict(request)
    try:
        if arguments.pop("do") == "phonemes":
            return {"rate_hz": library.sample_rate_hz}, library.phonemes(**arguments).encode()
        return {"rate_hz": library.sample_rate_hz}, library.synthesize(**arguments)
    except VitaError as error:
        return {"error": str(error), "kind": type(error).__name__}, b""


def serve(language: str, requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer every request until the stream ends; `language` is read once, for all forks."""
    library = EspeakLibrary()
    library.load(language)
    while (message := read_message(requests)) is not None:
        if not hasattr(os, "fork"):
            write_message(replies, *answer(library, message[0]))
            continue
        child = os.fork()
        if child == 0:
            write_message(replies, *answer(library, message[0]))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            write_message(replies, {"error": f"espeak-ng crashed (status {status})", "kind": "DependencyError"})


def main() -> None:
    """Serve on stdin and stdout; what the library itself prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.argv[1], sys.stdin.buffer, replies)
    except VitaError as error:
        write_message(replies, {"error": str(error), "kind": type(error).__name__})
    except BrokenPipeError:
        pass


if __name__ == "__main__":
    main()
