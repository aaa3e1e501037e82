"""`vita data pack`: records joined into longer ones before training, as the reference does it.

The joined samples see each other; for packing without that, the training loader packs rows by itself. Nothing is
decoded: lengths are counted from the headers of the media.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vita.data.lengths import token_counts
from vita.data.packing import greedy_groups, histogram, join_records, packs, reference_shuffle
from vita.data.records import MediaFolders, Record, RecordFile
from vita.data.stats import measure_sizes
from vita.data.writing import write_items
from vita.errors import DataError, VitaError
from vita.models.processing_vita import VitaProcessor

IN_ORDER, BEST_FIT = "in-order", "best-fit"


@dataclass
class JoinedSet:
    """What was made of a file.

    budget: tokens of a joined record at most.
    lengths, joined: tokens of the records before and after.
    left_out: why records are missing.
    """

    budget: int
    lengths: list[int] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def efficiency(self) -> float:
        """Tokens of the records over those that as many full ones would have."""
        return sum(self.joined) / max(1, self.budget * len(self.joined))

    def table(self) -> str:
        """For the terminal."""
        lines = [
            f"{len(self.lengths)} records, {sum(self.lengths):,} tokens -> {len(self.joined)} of at most "
            f"{self.budget} tokens, {self.efficiency:.1%} full"
        ]
        before, after = histogram(self.lengths), histogram(self.joined)
        lines += [f"{'tokens':>12}{'before':>10}{'after':>10}"]
        lines += [f"{name:>12}{before[name]:>10}{after[name]:>10}" for name in before if before[name] or after[name]]
        return "\n".join([*lines, *(f"left out: {reason}" for reason in self.left_out)])


def join_file(
    source: Path,
    target: Path,
    folders: MediaFolders,
    processor: VitaProcessor,
    *,
    budget: int,
    method: str = IN_ORDER,
    seed: int | None = None,
    leave_out: bool = False,
) -> JoinedSet:
    """Joins the records of a file and writes them to another.

    Args:
        source, target: .json or .jsonl.
        folders: where the media lie.
        processor: of the model whose tokens are counted.
        budget: tokens of a joined record. A longer record stays alone.
        method: "in-order" joins neighbours, as the reference; "best-fit" fills up.
        seed: shuffles first, as the reference does; None leaves the order.
        leave_out: records that cannot be measured are left out and named; else they are an error.
    """
    found = JoinedSet(budget)
    records: list[Record] = []
    file = RecordFile(source)
    for index in range(len(file)):
        try:
            record = file[index]
            length = token_counts(record, measure_sizes(record, folders), processor).total
        except VitaError as error:
            if not leave_out:
                raise DataError(f"{file.where(index)}: {error}", fix="see `vita data check`") from error
            found.left_out.append(f"{file.where(index)}: {error}")
            continue
        records.append(record)
        found.lengths.append(length)
    order = list(range(len(records))) if seed is None else reference_shuffle(range(len(records)), seed)
    groups = _groups([records[i] for i in order], [found.lengths[i] for i in order], budget, method)
    joined = [[order[i] for i in group] for group in groups]
    found.joined = [sum(found.lengths[i] for i in group) for group in joined]
    write_items((join_records([records[i] for i in group]).to_json() for group in joined), target)
    return found


def _groups(records: Sequence[Record], lengths: Sequence[int], budget: int, method: str) -> list[list[int]]:
    """Indices of the records of each joined one. Those that nothing can follow, and too long ones, stay alone."""
    alone = [i for i, record in enumerate(records) if not record.end_tag or lengths[i] > budget]
    others = [i for i in range(len(records)) if i not in set(alone)]
    make = packs if method == BEST_FIT else greedy_groups
    groups = [[others[i] for i in group] for group in make([lengths[i] for i in others], budget)]
    return sorted([*groups, *([i] for i in alone)])
