"""Learning to hear: the CTC loss against brute force, batches of clips, phonemes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from vita.models.configuration_vita import VitaConfig
from vita.synth.speech_set import SpeechShard, SpokenTurn, shard_turns
from vita.train import hearing
from vita.train.ctc_loss import ctc_losses
from vita.train.hearing import (
    POOL_BATCHES,
    Hearing,
    PhonemeLexicon,
    SpeechBatches,
    cmvn_statistics,
    greedy,
    hearing_loss,
)

CPU = torch.device("cpu")


def by_brute_force(log_probs_NV: torch.Tensor, length: int, target: list[int]) -> float:
    """Minus the log of the summed probability of every path that reads as `target`."""
    classes, total = log_probs_NV.shape[1], 0.0
    for path in itertools.product(range(classes), repeat=length):
        joined = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        if [c for c in joined if c != classes - 1] == target:
            total += math.exp(sum(float(log_probs_NV[i, c]) for i, c in enumerate(path)))
    return -math.log(total)


def test_ctc_is_the_mean_loss_per_symbol() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(4, 5, 3).log_softmax(-1)
    lengths, targets = torch.tensor([5, 4, 5, 3]), [[0, 1], [1, 1], [], [0]]
    wanted = [
        by_brute_force(row, int(length), target) / max(len(target), 1)
        for row, length, target in zip(log_probs, lengths, targets, strict=True)
    ]
    assert float(ctc_losses(log_probs, lengths, targets).mean()) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_a_clip_too_short_for_its_text_counts_as_nothing() -> None:
    log_probs = torch.zeros(2, 3, 4).log_softmax(-1).requires_grad_()
    loss = ctc_losses(log_probs, torch.tensor([3, 3]), [[0, 0, 0], [1]]).mean()
    alone = ctc_losses(log_probs[1:], torch.tensor([3]), [[1]]).mean()
    assert float(loss.detach()) == pytest.approx(float(alone.detach()) / 2)
    (gradient,) = torch.autograd.grad(loss, log_probs)
    assert torch.isfinite(gradient).all()
    assert not gradient[0].any()


@pytest.mark.parametrize(
    ("best", "length", "read"),
    [
        ([0, 0, 3, 0, 1, 1], 6, [0, 0, 1]),
        ([3, 3, 3], 3, []),
        ([2, 2, 2, 1], 3, [2]),
        ([1, 3, 2, 2, 3, 3], 6, [1, 2]),
        ([], 0, []),
    ],
)
def test_greedy(best: list[int], length: int, read: list[int]) -> None:
    log_probs = torch.full((len(best), 4), -9.0)
    for step, symbol in enumerate(best):
        log_probs[step, symbol] = -0.1
    assert greedy(log_probs, length) == read


def test_cmvn_statistics_make_zero_mean_and_unit_deviation() -> None:
    rng = np.random.default_rng(0)
    mels = [rng.normal(5, 3, (n, 80)).astype(np.float16) for n in (400, 300)]
    shards = [SpeechShard([], m, np.asarray([0, len(m)])) for m in mels]
    mean, istd = cmvn_statistics(shards)
    frames = (np.concatenate(mels).astype(np.float64) - mean) * istd
    assert frames.mean(0) == pytest.approx(np.zeros(80), abs=1e-3)
    assert frames.std(0) == pytest.approx(np.ones(80), abs=1e-3)
    silent = SpeechShard([], np.zeros((9, 80), np.float16), np.asarray([0, 9]))
    assert np.isfinite(cmvn_statistics([silent])[1]).all()


@pytest.fixture
def lexicon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhonemeLexicon:
    """A lexicon whose words sound like their letters."""
    monkeypatch.setattr(hearing, "phonemes", lambda unit, lang: unit if lang == "en" else "ma")
    return PhonemeLexicon(tmp_path / "lexicon.json")


def test_phonemes_are_classes_and_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def phonemes(unit: str, lang: str) -> str:
        asked.append(f"{lang}:{unit}")
        return {"cat": "kˈæt", "hi": "hˈaɪ", "猫": "mˈɑu5"}[unit]

    monkeypatch.setattr(hearing, "phonemes", phonemes)
    lexicon = PhonemeLexicon(tmp_path / "lexicon.json")
    told = ["".join(lexicon.symbols[i] for i in lexicon.ids(*said)) for said in (("hi cat hi", "en"), ("猫", "zh"))]
    assert told == ["haɪkæthaɪ", "mɑu"]
    assert asked == ["en:hi", "en:cat", "zh:猫"]
    lexicon.save()
    again = PhonemeLexicon(tmp_path / "lexicon.json")
    assert again.ids("cat", "en") == lexicon.ids("cat", "en")
    assert len(asked) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["lexicon.json"]


def test_a_crash_while_the_lexicon_is_saved_leaves_the_last_one(
    lexicon: PhonemeLexicon, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexicon.ids("cat", "en")
    lexicon.save()
    lexicon.ids("dog", "en")

    def die(path: Path, text: str, **options: str) -> None:
        path.write_bytes(text.encode()[:5])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", die)
        with pytest.raises(KeyboardInterrupt):
            lexicon.save()
    assert PhonemeLexicon(lexicon.path).known == {"en:cat": "cat"}


def shard(folder: Path, seed: int, number: int) -> SpeechShard:
    """Turns of a real shard with frames made up, long enough for their words."""
    turns = shard_turns(seed, number, 40)
    rng = np.random.default_rng(number)
    offsets = np.cumsum([0, *(rng.integers(60, 120) + 9 * len(item.turn.question) for item in turns)])
    return SpeechShard(turns, rng.normal(-6, 2, (offsets[-1], 80)).astype(np.float16), offsets)


def batches(tokenizer: PreTrainedTokenizerFast, lexicon: PhonemeLexicon, **options: int) -> SpeechBatches:
    settings = {"num_shards": 4, "steps_per_shard": 20, "first_shards": 1, "easy_steps": 40, "seed": 0, **options}
    return SpeechBatches(Path(), tokenizer, lexicon, batch_size=3, load=shard, **settings)


def test_batches_depend_on_the_step_alone(tokenizer: PreTrainedTokenizerFast, lexicon: PhonemeLexicon) -> None:
    straight = batches(tokenizer, lexicon)
    kept = {step: straight(step) for step in range(3 * POOL_BATCHES)}
    for step in (0, POOL_BATCHES + 1, 3 * POOL_BATCHES - 1):
        mel, lengths, words, sounds = batches(tokenizer, lexicon)(step)
        assert torch.equal(mel, kept[step][0])
        assert torch.equal(lengths, kept[step][1])
        assert (words, sounds) == kept[step][2:]
    assert not torch.equal(batches(tokenizer, lexicon, seed=1)(0)[1], kept[0][1])


def test_clips_start_short_and_clean(tokenizer: PreTrainedTokenizerFast, lexicon: PhonemeLexicon) -> None:
    made = batches(tokenizer, lexicon, steps_per_shard=10_000)
    first = [made(step) for step in range(POOL_BATCHES)]
    assert max(int(lengths.max()) for _, lengths, _, _ in first) <= 160
    clips = {made.shards[0].mel(i).astype(np.float32).tobytes() for i in range(40)}
    for mel, lengths, _, _ in first:
        assert all(mel[row, : lengths[row]].numpy().tobytes() in clips for row in range(3))
    later = [made(step) for step in range(3 * POOL_BATCHES, 4 * POOL_BATCHES)]
    assert max(int(lengths.max()) for _, lengths, _, _ in later) > 300
    assert not all(mel[0, : lengths[0]].numpy().tobytes() in clips for mel, lengths, _, _ in later)


def test_targets_are_the_words_of_the_clip(tokenizer: PreTrainedTokenizerFast, lexicon: PhonemeLexicon) -> None:
    made = batches(tokenizer, lexicon)
    mel, lengths, words, sounds = made(0)
    turns: dict[bytes, SpokenTurn] = {
        made.shards[0].mel(i).astype(np.float32).tobytes(): item for i, item in enumerate(made.shards[0].turns)
    }
    for row in range(3):
        turn = turns[mel[row, : lengths[row]].numpy().tobytes()].turn
        assert tokenizer.decode(words[row]).strip() == turn.question
        assert sounds[row] == lexicon.ids(turn.question, turn.lang)


def test_shards_join_as_training_goes_on(tokenizer: PreTrainedTokenizerFast, lexicon: PhonemeLexicon) -> None:
    made = batches(tokenizer, lexicon)
    counts = []
    for step in range(0, 5 * POOL_BATCHES, POOL_BATCHES):
        made(step)
        counts.append(len(made.shards))
    assert counts == [1, 2, 3, 4, 4]
    assert lexicon.path.is_file()


def test_a_shard_of_long_clips_alone_does_not_hang(tokenizer: PreTrainedTokenizerFast, lexicon: PhonemeLexicon) -> None:
    def long(folder: Path, seed: int, number: int) -> SpeechShard:
        turns = shard_turns(seed, number, 3)
        return SpeechShard(turns, np.zeros((900, 80), np.float16), np.asarray([0, 250, 550, 900]))

    made = SpeechBatches(
        Path(), tokenizer, lexicon, seed=0, num_shards=1, batch_size=2, steps_per_shard=1, first_shards=1,
        easy_steps=100, load=long,
    )  # fmt: skip
    assert made(0)[1].tolist() == [250, 250]


def test_a_few_steps_lower_the_loss(
    tokenizer: PreTrainedTokenizerFast, config: VitaConfig, lexicon: PhonemeLexicon
) -> None:
    torch.manual_seed(0)
    model = Hearing(config.audio_config, len(lexicon.symbols))
    batch = batches(tokenizer, lexicon)(0)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(12):
        loss, figures = hearing_loss(model, batch, CPU)
        assert float(loss.detach()) == pytest.approx(figures["words"] + 0.3 * figures["sounds"], rel=1e-5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(
        p.grad is not None for p in [*model.connector.projection.head.parameters(), *model.phonemes.parameters()]
    )


def test_padding_does_not_change_the_posteriors(config: VitaConfig) -> None:
    torch.manual_seed(0)
    model = Hearing(config.audio_config, 30).eval()
    mel, lengths = torch.randn(2, 90, 80), torch.tensor([90, 57])
    words, word_lengths, sounds, sound_lengths = model(mel, lengths)
    torch.testing.assert_close(words.exp().sum(-1), torch.ones(words.shape[:2]), atol=1e-4, rtol=0)
    assert word_lengths.tolist() == [config.audio_config.num_audio_tokens(n) for n in (90, 57)]
    assert sound_lengths.tolist() == [config.audio_config.num_encoder_frames(n) for n in (90, 57)]
    alone = model(mel[1:, :57], lengths[1:])
    torch.testing.assert_close(alone[0][0], words[1, : word_lengths[1]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone[2][0], sounds[1, : sound_lengths[1]], atol=1e-4, rtol=1e-4)
