"""lm-evaluation-harness with our model, offline: log-likelihoods by hand, and tiny tasks in its own YAML form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vita.api import Assistant, load
from vita.errors import ConfigError
from vita.evaluate.measuring import Run, Settings

pytest.importorskip("lm_eval")

from vita.evaluate.harness import language
from vita.evaluate.harness.language_model import VitaLM

CHOICE = """task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
WRITE = """task: tiny_write
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{word}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 6}}
metric_list: [{{metric: exact_match}}]
"""


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return load("pocket")


@pytest.fixture(scope="module")
def model(assistant: Assistant) -> VitaLM:
    return VitaLM(assistant=assistant, batch_size=3)


def by_hand(assistant: Any, context: list[int], continuation: list[int]) -> float:
    with torch.inference_mode():
        logits = assistant.engine.model(input_ids=torch.tensor([context + continuation])).logits[0].log_softmax(-1)
    steps = range(len(context) - 1, len(context) + len(continuation) - 1)
    return sum(float(logits[at, token]) for at, token in zip(steps, continuation, strict=True))


def test_loglikelihoods_are_those_of_the_model_alone(assistant: Assistant, model: VitaLM) -> None:
    """Padding and order in a batch change nothing."""
    texts = [("what is one plus", " two"), ("a", " red circle at the top"), ("the", " star"), ("blue", " whale")]
    pairs = [(model.tok_encode(a), model.tok_encode(b)) for a, b in texts]
    found = model._loglikelihood_tokens([(text, *pair) for text, pair in zip(texts, pairs, strict=True)])
    for (score, _), pair in zip(found, pairs, strict=True):
        assert score == pytest.approx(by_hand(assistant, *pair), abs=1e-3)
    greedy = model._continue(texts[0][0], 1, [])
    assert model._loglikelihood_tokens([(("", ""), pairs[0][0], model.tok_encode(greedy))])[0][1]


def test_generation_stops_where_it_should(model: VitaLM) -> None:
    asked = model.apply_chat_template([{"role": "user", "content": "How many legs does a spider have?"}])
    whole = model._continue(asked, 8, [])
    assert "eight" in whole
    assert model._continue(asked, 8, ["ight"]) == whole[: whole.index("ight")]


def test_tasks_of_the_harness_become_rows(
    assistant: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)  # it lists all packages
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    docs = [
        {"question": "one plus one is", "choices": ["two", "the blue whale"], "answer": 0, "word": "two"},
        {"question": "the sky is", "choices": ["seven", "blue"], "answer": 1, "word": "no such word"},
    ]
    data = tmp_path / "data.json"
    data.write_text("\n".join(map(json.dumps, docs)))
    for name, task in (("choice", CHOICE), ("write", WRITE)):
        (tmp_path / f"{name}.yaml").write_text(task.format(path=data))
    settings = Settings(data=tmp_path, benchmarks=("tiny_choice", "tiny_write"), out=tmp_path / "out")
    rows = language.measure(Run(settings, "language", assistant=assistant))
    assert [row.case for row in rows] == [f"tiny_{kind}/{n}" for kind in ("choice", "write") for n in (0, 1)]
    for row in rows[:2]:
        assert set(row.scores) == {"acc", "acc_norm"}
        assert isinstance(row.scores["acc"], bool)
    assert rows[3].scores == {"exact_match": False}
    (section,) = language.sections(rows)
    assert [line[0] for line in section.tables[0].texts()] == ["tiny_choice", "tiny_write"]
    assert list((tmp_path / "out" / "language").glob("answers*"))


class NoTasks:
    """A task manager without tasks; that of the harness takes long to read them all."""

    all_tasks = ()

    def __init__(self, **options: Any) -> None:
        pass


def test_an_unknown_task_is_named(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm_eval.tasks.TaskManager", NoTasks)
    with pytest.raises(ConfigError, match=r"no such task \(got no_such_task"):
        language.measure(Run(Settings(benchmarks=("no_such_task",)), "language", assistant=assistant))
