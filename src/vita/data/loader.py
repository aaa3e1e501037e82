"""The steps of a plan as batches of tensors: a torch dataset, and a loader that resumes exactly.

Step i of a rank is encoded by worker i % workers and DataLoader hands batches out in turn, so the order of batches does
not depend on how many workers there are, and neither does the state. Called by training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vita.chat.messages import Medium
from vita.data.collate import Sample, collate, collate_packs
from vita.data.lengths import token_counts
from vita.data.loading import build_sample, load_media
from vita.data.mixture import Draw, Mixture
from vita.data.plan import PackedPlan, Plan, State, Step
from vita.data.records import Record
from vita.data.stats import measure_sizes
from vita.errors import DataError, VitaError
from vita.models import compiled_tiles
from vita.models.batching import pad_token_id
from vita.models.processing_vita import VitaProcessor


class SampleEncoder(Protocol):
    """What a sample of the plan becomes, and what a batch is made of."""

    def sample(self, record: Record, media: dict[str, list[Medium]]) -> Any:
        """One sample of a record and its media. Raises DataError."""
        ...

    def collate(self, rows: Sequence[Sequence[Any]]) -> dict[str, Tensor]:
        """The tensors of a batch, for the samples of each row."""
        ...


@dataclass(frozen=True)
class ReplyEncoder:
    """Conversations whose replies are learned: see `build_sample`, `collate` and `collate_packs`.

    processor: the model's.
    packed_length: tokens of a row that holds several samples; None for one sample a row.
    """

    processor: VitaProcessor
    packed_length: int | None = None

    @classmethod
    def of(cls, plan: Plan, processor: VitaProcessor) -> ReplyEncoder:
        """For a plan: packed or not as it is. Pictures are cut by compiled loops where they can be."""
        processor.compiled = compiled_tiles.is_available()
        return cls(processor, plan.budget if isinstance(plan, PackedPlan) else None)

    def sample(self, record: Record, media: dict[str, list[Medium]]) -> Sample:
        """See `build_sample`."""
        return build_sample(record, media, self.processor)

    def collate(self, rows: Sequence[Sequence[Sample]]) -> dict[str, Tensor]:
        """See `collate` and `collate_packs`."""
        pad_id = pad_token_id(self.processor.tokenizer)
        if self.packed_length is not None:
            return collate_packs(rows, pad_id=pad_id, length=self.packed_length)
        return collate([sample for row in rows for sample in row], pad_id=pad_id)


@dataclass
class Batch:
    """One batch.

    inputs: the model's, see `collate` and `collate_packs`; empty if every sample was left out.
    samples: which samples of the stream are in it.
    state: where to go on after it.
    left_out: why samples are missing from it.
    """

    inputs: dict[str, Tensor]
    samples: list[int]
    state: State
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SampleLength:
    """Tokens of a sample of the mixture, with no medium decoded; `PackedPlan.length_of`."""

    mixture: Mixture
    processor: VitaProcessor

    def __call__(self, draw: Draw) -> int:
        record = self.mixture.record(draw)
        return token_counts(
            record, measure_sizes(record, self.mixture.sources[draw.source].folders), self.processor
        ).total


class Batches(IterableDataset):
    """The batches of a plan, for `torch.utils.data.DataLoader(..., batch_size=None)`; endless.

    Args:
        plan: which samples.
        encoder: makes samples and batches of tensors.
        state: go on after the batch that has this state.
        leave_out: a sample that cannot be encoded is left out and named in its batch; else it is an error.
    """

    def __init__(
        self, plan: Plan, encoder: SampleEncoder, *, state: State | None = None, leave_out: bool = False
    ) -> None:
        self.plan, self.encoder, self.state, self.leave_out = plan, encoder, state, leave_out

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        own, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number, step in enumerate(self.plan.steps(self.state)):
            if number % workers == own:
                yield self.encode(step)

    def encode(self, step: Step) -> Batch:
        """Read and encode the samples of a step."""
        left_out = list(step.left_out)
        rows, numbers = [], []
        for draws in step.rows:
            samples = []
            for draw in draws:
                sample = self._sample(draw, left_out)
                if sample is not None:
                    samples.append(sample)
                    numbers.append(draw.number)
            if samples:
                rows.append(samples)
        return Batch(self.encoder.collate(rows) if rows else {}, numbers, step.after, left_out)

    def _sample(self, draw: Draw, left_out: list[str]) -> Any:
        """What the encoder makes of a draw, or None if it is left out."""
        mixture = self.plan.mixture
        try:
            record = mixture.record(draw)
            media = load_media(record, mixture.sources[draw.source].folders)
            return self.encoder.sample(record, media)
        except VitaError as error:
            if not self.leave_out:
                raise DataError(f"{mixture.where(draw)}: {error}", fix="see `vita data check`") from error
            left_out.append(f"{mixture.where(draw)}: {error}")
            return None


class ResumableLoader:
    """Goes through a plan's batches, in other processes if wanted, and knows where it is.

    `state_dict` after the k-th batch, given to `load_state_dict` of a new loader, makes that one go on with the next
    batch, whatever the workers have read ahead and however many they are.

    Args:
        plan, encoder, leave_out: see `Batches`.
        workers: processes that read and encode; 0 does it here.
        read_ahead: batches that each worker prepares in advance.
    """

    def __init__(
        self, plan: Plan, encoder: SampleEncoder, *, workers: int = 0, read_ahead: int = 2, leave_out: bool = False
    ) -> None:
        self._plan, self._encoder, self._leave_out = plan, encoder, leave_out
        self._options: dict[str, Any] = {"num_workers": workers}
        if workers:
            self._options["prefetch_factor"] = read_ahead
        self._state: State | None = None

    def __iter__(self) -> Iterator[Batch]:
        batches = Batches(self._plan, self._encoder, state=self._state, leave_out=self._leave_out)
        for batch in DataLoader(_ErrorsLast(batches), batch_size=None, collate_fn=_unchanged, **self._options):
            if isinstance(batch, VitaError):
                raise batch
            self._state = batch.state
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where it is: JSON."""
        return {"state": self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; takes effect with the next `iter`."""
        self._state = state["state"]


class _ErrorsLast(IterableDataset):
    """Batches, and what stops them as the last item: DataLoader would wrap an error of a worker in its traceback."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch | VitaError]:
        try:
            yield from self._batches
        except VitaError as error:
            yield error


def _unchanged(batch: Any) -> Any:
    return batch
