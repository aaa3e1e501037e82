"""Plans and the loader: sharing out among ranks, packing, and stopping anywhere."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.media_set import sources_of, write_media_set
from vita.data.collate import Sample, collate, collate_packs
from vita.data.loader import Batches, ReplyEncoder, ResumableLoader, SampleLength
from vita.data.loading import build_sample, load_media
from vita.data.mixture import Draw, Mixture
from vita.data.packing import packs
from vita.data.plan import PackedPlan, PaddedPlan, Plan, State, Step
from vita.errors import ConfigError, DataError
from vita.tokens import IGNORE_LABEL

BUDGET = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def mixture(path: Path) -> Mixture:
    return Mixture(sources_of(path, spoken_rate=0.5), seed=2)


def made_up_length(draw: Draw) -> int:
    return 20 + draw.index * 7


def take(plan: Plan, count: int, state: State | None = None) -> list[Step]:
    return list(itertools.islice(plan.steps(json.loads(json.dumps(state))), count))


def plan_of(mixture: Mixture, kind: str, **options: Any) -> Plan:
    if kind == "padded":
        return PaddedPlan(mixture=mixture, batch_size=3, **options)
    return PackedPlan(mixture=mixture, length_of=made_up_length, budget=BUDGET, rows=2, window=16, **options)


@pytest.mark.parametrize("kind", ["padded", "packed"])
@settings(max_examples=10)
@given(st.integers(0, 25))
def test_a_plan_goes_on_from_any_step(mixture: Mixture, kind: str, stop: int) -> None:
    for rank in (0, 1):
        whole = take(plan_of(mixture, kind, rank=rank, world_size=2), stop + 5)
        state = whole[stop - 1].after if stop else None
        again = take(plan_of(mixture, kind, rank=rank, world_size=2), 5, state)
        assert again == whole[stop:]


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_ranks_share_the_stream(mixture: Mixture, kind: str) -> None:
    numbers = []
    for rank in range(3):
        steps = take(plan_of(mixture, kind, rank=rank, world_size=3), 40)
        numbers += [draw.number for step in steps for row in step.rows for draw in row]
    assert len(numbers) == len(set(numbers))
    assert set(range(150)) <= set(numbers)


def test_packed_rows_are_full_and_within_the_budget(mixture: Mixture) -> None:
    plan = PackedPlan(mixture=mixture, length_of=made_up_length, budget=1000, window=256)
    totals = [sum(map(made_up_length, row)) for step in take(plan, 100) for row in step.rows]
    assert max(totals) <= 1000
    assert sum(totals) / (1000 * len(totals)) > 0.95


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(100, 300))
def test_packs_hold_everything_once(lengths: list[int], budget: int) -> None:
    rows = packs(lengths, budget)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    totals = [sum(lengths[index] for index in row) for row in rows]
    assert all(total <= budget for total in totals)
    if len(rows) > 1:  # no two rows would fit into one
        assert sum(sorted(totals)[:2]) > budget


def test_a_sample_longer_than_a_row(mixture: Mixture) -> None:
    with pytest.raises(DataError, match="longer"):
        packs([5], 4)
    options: dict[str, Any] = {"mixture": mixture, "length_of": made_up_length, "budget": 200, "window": 32}
    with pytest.raises(ConfigError, match=r"data.jsonl line \d+ does not fit"):
        take(PackedPlan(**options), 1)
    steps = take(PackedPlan(**options, leave_out=True), 30)
    assert max(made_up_length(draw) for step in steps for row in step.rows for draw in row) <= 200
    assert any("does not fit" in line for step in steps for line in step.left_out)
    with pytest.raises(DataError, match=r"no sample of the mixture can be packed.*does not fit"):
        take(PackedPlan(**{**options, "budget": 10}, leave_out=True), 1)


def test_plans_out_of_range(mixture: Mixture) -> None:
    for options in ({"batch_size": 0}, {"batch_size": 1, "rank": 2, "world_size": 2}):
        with pytest.raises(ConfigError, match="out of range"):
            PaddedPlan(mixture=mixture, **options)
    after = take(plan_of(mixture, "packed"), 9)[-1].after
    with pytest.raises(ConfigError, match="another window"):
        take(PackedPlan(mixture=mixture, length_of=made_up_length, budget=BUDGET, window=7), 1, after)
    within = next(step.after for step in take(plan_of(mixture, "packed"), 9) if step.after["row"])
    with pytest.raises(ConfigError, match="another rank"):
        take(plan_of(mixture, "packed", rank=1, world_size=2), 1, within)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_the_loader_goes_on_with_the_same_batches(mixture: Mixture, kind: str, tiny_model: tuple[Any, Any]) -> None:
    processor = tiny_model[1]
    plan: Plan = PaddedPlan(mixture=mixture, batch_size=2)
    if kind == "packed":
        length = SampleLength(mixture, processor)
        plan = PackedPlan(mixture=mixture, length_of=length, budget=1200, rows=1, window=12)
    whole = list(itertools.islice(ResumableLoader(plan, ReplyEncoder.of(plan, processor)), 7))
    with_workers = ResumableLoader(plan, ReplyEncoder.of(plan, processor), workers=2)
    batches = list(itertools.islice(with_workers, 3))
    saved = json.loads(json.dumps(with_workers.state_dict()))
    resumed = ResumableLoader(plan, ReplyEncoder.of(plan, processor))
    resumed.load_state_dict(saved)
    batches += itertools.islice(resumed, 4)
    assert [batch.samples for batch in batches] == [batch.samples for batch in whole]
    assert all(same(a.inputs, b.inputs) for a, b in zip(batches, whole, strict=True))
    if kind == "packed":
        assert {batch.inputs["input_ids"].shape for batch in whole} == {(1, 1200)}


def test_a_sample_that_cannot_be_read(path: Path, tmp_path: Path, tiny_model: tuple[Any, Any]) -> None:
    (tmp_path / "data.jsonl").write_bytes(path.read_bytes())  # without its media
    plan = PaddedPlan(mixture=Mixture(sources_of(tmp_path / "data.jsonl")), batch_size=4)
    with pytest.raises(DataError, match=r"data.jsonl line \d+.*vita data check"):
        next(iter(Batches(plan, ReplyEncoder.of(plan, tiny_model[1]))))
    with pytest.raises(DataError, match=r"^data\.jsonl line") as raised:
        next(iter(ResumableLoader(plan, ReplyEncoder.of(plan, tiny_model[1]), workers=1)))
    assert "Traceback" not in str(raised.value)
    batch = next(iter(Batches(plan, ReplyEncoder.of(plan, tiny_model[1]), leave_out=True)))
    assert len(batch.samples) + len(batch.left_out) == 4
    assert all("does not exist" in line for line in batch.left_out)


def test_packed_samples_do_not_see_each_other(mixture: Mixture, tiny_model: tuple[Any, Any]) -> None:
    """The loss and the logits of a packed row are those of its samples alone, whatever else is in the row."""
    model, processor = tiny_model
    draws = [draw for draw, _ in itertools.islice(mixture.draws(mixture.start()), 5)]
    samples = []
    for draw in draws:
        record = mixture.record(draw)
        samples.append(build_sample(record, load_media(record, mixture.sources[draw.source].folders), processor))
    packed = collate_packs([samples[:3], samples[3:]], pad_id=0, length=1400)
    assert "attention_mask" not in packed
    with torch.no_grad():
        together = model(**packed, skip_logits=False)
        start = 0
        for sample in samples[:3]:
            alone = model(**collate([sample], pad_id=0), skip_logits=False)
            end = start + len(sample.input_ids)
            torch.testing.assert_close(together.logits[0, start:end], alone.logits[0], atol=2e-5, rtol=0)
            start = end
        padded = model(**collate(samples, pad_id=0))
    assert together.loss.item() == pytest.approx(padded.loss.item(), abs=1e-5)


def test_the_first_token_of_a_sample_is_not_learned_from_the_one_before() -> None:
    samples = [Sample(input_ids=[5, 6], labels=[5, 6]), Sample(input_ids=[7], labels=[7])]
    packed = collate_packs([samples], pad_id=0, length=5)
    assert packed["labels"].tolist() == [[IGNORE_LABEL, 6, IGNORE_LABEL, IGNORE_LABEL, IGNORE_LABEL]]
    assert packed["position_ids"].tolist() == [[0, 1, 0, 0, 1]]
    assert packed["input_ids"].tolist() == [[5, 6, 7, 0, 0]]
    with pytest.raises(DataError, match="too long"):
        collate_packs([samples], pad_id=0, length=2)
