"""What an ear with words makes of a sound: its text, phrases in it, and nothing from an ear without words."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tests.conftest import make_model
from vita import checkpoints
from vita.duplex.spotter import STOP_WORDS, Spotter
from vita.engine.local import LocalEngine
from vita.models.ctc_words import LONGEST, WordsHeard
from vita.synth.voices import Speaker, say

NOISE = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)


@pytest.fixture(scope="module")
def pocket() -> LocalEngine:
    return LocalEngine(*checkpoints.load("pocket", device="cpu", dtype="float32"))


def spoken(text: str, voice: str = "en-us+m3") -> np.ndarray:
    sound = say(text, Speaker(engine="espeak", voice=voice))
    return np.concatenate([np.zeros(4800, np.float32), 0.4 * sound / np.abs(sound).max(), np.zeros(2400, np.float32)])


@pytest.mark.parametrize(
    ("text", "voice", "is_stop"),
    [
        ("stop", "en-us+m3", True),
        ("please stop", "en-gb+f2", True),
        ("停", "cmn+m3", True),
        ("the train stops here", "en-us+m3", False),
        ("what is the capital of France", "en-us+f2", False),
    ],
)
def test_the_pocket_ear_spots_stop(pocket: LocalEngine, text: str, voice: str, is_stop: bool) -> None:
    listening = pocket.open().listen()
    listening.push(spoken(text, voice))
    words = listening.words(STOP_WORDS)
    assert words is not None
    assert set(words.likelihoods) == set(STOP_WORDS)
    assert (max(words.likelihoods.values()) >= Spotter().threshold) is is_stop
    if voice.startswith("en-us"):
        assert set(words.text.split()) >= set(text.lower().split()[-1:]) - {"here", "france"}


def test_words_change_nothing(pocket: LocalEngine) -> None:
    contexts = [pocket.open(), pocket.open()]
    listenings = [context.listen() for context in contexts]
    for piece in np.split(spoken("how many legs does a spider have"), [9000, 20_000]):
        for listening in listenings:
            listening.push(piece)
        listenings[0].words(["stop"])
    assert listenings[0].probe() == pytest.approx(listenings[1].probe())
    for listening in listenings:
        listening.close()
    assert contexts[0].reply().result().text == contexts[1].reply().result().text


def test_words_grow_with_the_sound_and_do_not_depend_on_its_pieces(pocket: LocalEngine) -> None:
    sound = spoken("how many legs does a spider have")
    texts = []
    for size in (1600, 7000, len(sound)):
        listening = pocket.open().listen()
        for start in range(0, len(sound), size):
            listening.push(sound[start : start + size])
            words = listening.words()
            assert words is not None
        texts.append(words.text)
    assert len(set(texts)) == 1
    assert texts[0].split()[:2] == ["how", "many"]


def test_other_ears_have_no_words() -> None:
    for options in ({"chunk_size": 4}, {"connector_type": "ctc", "ctc_vocab_size": 9}):
        listening = LocalEngine(*make_model(**options)).open().listen()
        listening.push(NOISE)
        assert listening.words(["stop"]) is None


def posterior(*symbols: int, num_symbols: int = 4) -> torch.Tensor:
    """Nearly sure of each symbol [N, V]; the last symbol is blank."""
    return torch.full((len(symbols), num_symbols), 0.01).scatter(1, torch.tensor(symbols)[:, None], 0.97)


def test_the_best_path_joins_repeats_and_drops_blanks() -> None:
    words = WordsHeard().add(posterior(3, 1, 1)).add(posterior(1, 3, 1, 2))
    assert words.ids() == [1, 1, 2]
    found = words.likelihoods([[1, 1, 2], [1, 2], [2]])
    assert found[0] == pytest.approx(1.0)
    assert 0.1 > found[1] > found[2] > 0


def brute_force(posterior_NV: torch.Tensor, ids: list[int]) -> float:
    """The sum over all paths that collapse to `ids`."""
    total = 0.0
    for path in product(range(posterior_NV.shape[1]), repeat=len(posterior_NV)):
        joined = [s for n, s in enumerate(path) if n == 0 or s != path[n - 1]]
        if [s for s in joined if s != posterior_NV.shape[1] - 1] == ids:
            total += float(torch.stack([posterior_NV[n, s] for n, s in enumerate(path)]).prod())
    return total


def test_likelihoods_are_sums_over_all_alignments() -> None:
    drawn = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).softmax(-1)
    words = WordsHeard().add(drawn)
    best = brute_force(drawn, words.ids())
    expected = [min(1.0, brute_force(drawn, ids) / best) for ids in ([0], [1], [0, 1])]
    assert words.likelihoods([[0], [1], [0, 1]]) == pytest.approx(expected, rel=1e-4)


def test_a_long_sound_is_no_phrase() -> None:
    words = WordsHeard().add(posterior(*[1] * LONGEST))
    assert words.likelihoods([[1]]) == [pytest.approx(1.0)]
    assert words.add(posterior(3)).likelihoods([[1]]) == [0.0]
    assert words.add(posterior(3)).ids() == [1]
    assert WordsHeard().likelihoods([[1]]) == [0.0]
