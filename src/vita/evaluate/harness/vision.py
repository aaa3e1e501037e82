"""`vita eval vision`: MME, MMBench, ... Video-MME through lmms-eval, which has an environment of its own.

The harness downloads the data and scores the answers; its samples become our rows. Tasks of one's own are YAML files in
`--data`. Judged tasks ask the OpenAI-compatible server that lmms-eval's own settings name.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vita.errors import ConfigError, DependencyError
from vita.evaluate.measuring import Run
from vita.evaluate.rows import Row, Score
from vita.evaluate.tables import Measure, Section, by_group

BENCHMARKS = (
    "mme", "mmbench_en_dev", "mmstar", "mmmu_val", "mathvista_testmini", "hallusion_bench_image", "ai2d", "ocrbench",
    "mmvet", "videomme",
)  # fmt: skip


def measure(run: Run) -> list[Row]:
    """Run the harness."""
    try:
        from lmms_eval.evaluator import simple_evaluate
        from lmms_eval.tasks import TaskManager
    except ImportError as error:
        raise DependencyError(
            "vision needs lmms-eval", got=error, fix="install it in an environment of its own, see docs/evaluation.md"
        ) from error
    from vita.evaluate.harness.vision_model import VitaLmms

    settings = run.settings
    if settings.url is not None:
        fix = "give the server to lmms-eval itself: --model openai_compatible"
        raise ConfigError("vision measures --model", fix=fix)
    _ = run.log  # refuses a folder of another model before the work
    names = list(settings.benchmarks or BENCHMARKS)
    manager = None
    if settings.data is not None:  # the harness's own many tasks are read only where they are needed
        manager = TaskManager(include_path=str(settings.data), include_defaults=False)
    if manager is None or not set(names) <= set(manager.all_tasks):
        manager = TaskManager(include_path=None if settings.data is None else str(settings.data))
    found: Any = simple_evaluate(
        model=VitaLmms(assistant=run.assistant), tasks=names, limit=settings.limit, task_manager=manager,
        bootstrap_iters=0, log_samples=True,
    )  # fmt: skip
    rows = [row(task, sample) for task, samples in found["samples"].items() for sample in samples]
    run.log.add(rows)
    return rows


def row(task: str, sample: Mapping[str, Any]) -> Row:
    """One sample of the harness: every number among its results."""
    scores: dict[str, Score] = {}
    for name, value in sample.items():
        if name not in ("doc_id", "idx") and isinstance(value, bool | int | float):
            scores[name] = bool(value) if value in (0, 1) else float(value)
    detail = {"answer": str(sample.get("filtered_resps"))[:500], "target": str(sample.get("target"))[:200]}
    return Row(task="vision", case=f"{task}/{sample['doc_id']}", group=task, scores=scores, detail=detail)


def sections(rows: Sequence[Row]) -> list[Section]:
    """One line a task."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    measures = [Measure(name, name, "mean") for name in names]
    text = "Tasks, prompts and scores of lmms-eval; means over its samples, where it scores samples one by one."
    return [Section(title="Image and video", text=text, tables=[by_group(rows, measures, title="task")])]
