"""Stages of the pocket recipe that need nothing of each other, trained at the same time in processes of their own.

The pocket's steps are too small to keep several cores busy: two processes of one thread get more done than two threads
of one process. `vita.train.run` is the caller, for recipes with `side_by_side`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from vita.errors import VitaError
from vita.train.recipe import Recipe
from vita.train.stages import Configure, PocketRun

TRACKS = (("seeing",), ("synth", "hearing", "language"))
"""What goes on side by side; together about as long as each other. Stage 3 needs all of it."""


def run_tracks(run: PocketRun) -> None:
    """Train the stages of TRACKS to their ends; the recipe's threads are shared out among the processes.

    Raises VitaError when a stage cannot go on; the others are stopped then, and `--resume` goes on with them too.
    """
    run.prepare()
    context = multiprocessing.get_context("spawn")
    tracks: dict[int, tuple[BaseProcess, Connection, tuple[str, ...]]] = {}
    for names in TRACKS:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(
            target=_track, args=(run.recipe, run.folder, run.configure, names, sending), daemon=True
        )
        process.start()
        sending.close()
        tracks[process.sentinel] = process, receiving, names
    try:
        while tracks:
            for ended in wait(list(tracks)):
                assert isinstance(ended, int)
                process, receiving, names = tracks.pop(ended)
                process.join()
                if process.exitcode:
                    raise _failure(receiving, names, process.exitcode)
    finally:
        for process, *_ in tracks.values():
            process.terminate()
            process.join()


def _failure(receiving: Connection, names: tuple[str, ...], code: int) -> VitaError:
    """What a process said before it ended."""
    try:
        return receiving.recv()
    except EOFError:
        return VitaError(
            f"the process of {' and '.join(names)} ended with code {code}", fix="mend what it says; --resume goes on"
        )


def _track(recipe: Recipe, folder: Path, configure: Configure, names: tuple[str, ...], sending: Connection) -> None:
    """One process: its stages in order, until the process that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the process that waits ends this one
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    torch.set_num_threads(max(recipe.threads // len(TRACKS), 1))
    run = PocketRun(recipe, folder, lambda line: print(line, flush=True), configure)
    try:
        for name in names:
            getattr(run, name)()
    except VitaError as error:
        sending.send(error)
        raise SystemExit(1) from error
