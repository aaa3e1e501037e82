"""`vita eval language`: C-Eval, AGIEval, MMLU and GSM8K through lm-evaluation-harness.

The harness downloads the data, few-shots the prompts and scores the answers; its samples become our rows, so that they
have intervals and can be compared. Tasks of one's own are YAML files in `--data`. An OpenAI-compatible server (`--url`)
is asked through its chat, which can answer only tasks that generate.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vita.errors import ConfigError, DependencyError
from vita.evaluate.measuring import Run
from vita.evaluate.rows import Row, Score
from vita.evaluate.tables import Measure, Section, by_group

BENCHMARKS = ("ceval-valid", "agieval", "mmlu", "gsm8k")
_KINDS = {"acc": "share", "acc_norm": "share", "exact_match": "share"}


def measure(run: Run) -> list[Row]:
    """Run the harness; its answers are kept, so that a second run goes on."""
    try:
        import lm_eval
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise DependencyError("language needs lm-evaluation-harness", fix="pip install 'vita-omni[eval]'") from error
    settings = run.settings
    if settings.data is not None and not settings.data.is_dir():
        raise ConfigError(f"{settings.data} is no folder", fix="give a folder of YAML tasks with --data")
    names = list(settings.benchmarks or BENCHMARKS)
    manager = None
    if settings.data is not None:  # the harness's own thousands of tasks are read only where they are needed
        manager = TaskManager(include_path=str(settings.data), include_defaults=False)
    if manager is None or not set(names) <= set(manager.all_tasks):
        manager = TaskManager(include_path=None if settings.data is None else str(settings.data))
    if unknown := [name for name in names if name not in manager.all_tasks]:
        raise ConfigError("the harness has no such task", got=", ".join(unknown), fix="see `lm_eval ls tasks`")
    out = settings.out if settings.out and settings.out.suffix != ".json" else None
    evaluate: Any = lm_eval.simple_evaluate
    found = evaluate(
        **_model(run), tasks=names, limit=settings.limit, task_manager=manager, bootstrap_iters=0,
        use_cache=None if out is None else str(out / "language" / "answers"), log_samples=True,
    )  # fmt: skip
    rows = [row(task, sample) for task, samples in found["samples"].items() for sample in samples]
    run.log.add(rows)
    return rows


def _model(run: Run) -> dict[str, Any]:
    settings = run.settings
    if settings.url is None:
        from vita.evaluate.harness import language_model

        vita_lm: Any = language_model.VitaLM
        _ = run.log  # refuses a folder of another model before the work
        return {"model": vita_lm(assistant=run.assistant)}
    arguments = {
        "base_url": f"{settings.url.rstrip('/')}/chat/completions",
        "model": settings.model,
        "num_concurrent": 1,
    }
    return {"model": "local-chat-completions", "model_args": arguments, "apply_chat_template": True}


def row(task: str, sample: Mapping[str, Any]) -> Row:
    """One sample of the harness; a metric of 0 and 1 is right or wrong."""
    scores: dict[str, Score] = {}
    for name in sample.get("metrics", []):
        value = sample.get(name)
        if isinstance(value, bool | int | float):
            scores[name] = bool(value) if name in _KINDS and value in (0, 1) else float(value)
    filtered = str(sample.get("filter", "none"))
    suffix = "" if filtered == "none" else f" ({filtered})"
    detail = {"answer": str(sample.get("filtered_resps"))[:500], "target": str(sample.get("target"))[:200]}
    return Row(
        task="language", case=f"{task}/{sample['doc_id']}{suffix}", group=task + suffix, scores=scores, detail=detail
    )


def sections(rows: Sequence[Row]) -> list[Section]:
    """One line a task."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    measures = [Measure(name, name, "share" if name in _KINDS else "mean") for name in names]
    text = "Tasks, prompts and scores of lm-evaluation-harness."
    return [Section(title="Language", text=text, tables=[by_group(rows, measures, title="task")])]
