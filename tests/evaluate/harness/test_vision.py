"""lmms-eval with our model, offline: the entry point, and a small task in its own YAML form.

Runs where lmms-eval is installed, in an environment of its own; elsewhere it is skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from vita.api import load
from vita.errors import ConfigError, DependencyError
from vita.evaluate.harness import vision
from vita.evaluate.harness.vision import row
from vita.evaluate.measuring import Run, Settings

TASK = """task: tiny_shapes
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function tiny.visual
doc_to_text: !function tiny.text
doc_to_target: word
process_results: !function tiny.results
generation_kwargs: {{max_new_tokens: 8}}
metric_list: [{{metric: right, aggregation: mean, higher_is_better: true}}]
"""
CODE = """import PIL.Image
def visual(doc): return [PIL.Image.open(doc["picture"]).convert("RGB")]
def text(doc, kwargs=None): return doc["question"]
def results(doc, results): return {"right": float(doc["word"] in results[0].lower())}
"""


def test_a_sample_of_the_harness_becomes_a_row() -> None:
    sample: dict[str, Any] = {
        "doc_id": 3,
        "target": "red",
        "filtered_resps": ["red"],
        "right": 1.0,
        "score": 0.25,
        "idx": 7,
    }
    found = row("t", sample)
    assert (found.case, found.scores) == ("t/3", {"right": True, "score": 0.25})


def test_without_the_harness_the_error_says_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lmms_eval", None)
    monkeypatch.setitem(__import__("sys").modules, "lmms_eval.evaluator", None)
    with pytest.raises(DependencyError, match="environment of its own"):
        vision.measure(Run(Settings(), "vision"))


def test_a_task_in_its_own_form(tmp_path: Path) -> None:
    pytest.importorskip("lmms_eval.evaluator")
    picture = np.full((224, 224, 3), 255, np.uint8)
    picture[80:140, 80:140] = (220, 30, 30)
    PIL.Image.fromarray(picture).save(tmp_path / "square.png")
    docs = [
        {"picture": str(tmp_path / "square.png"), "question": "What color is the square?", "word": "red"},
        {"picture": str(tmp_path / "square.png"), "question": "How many shapes are there?", "word": "seventeen"},
    ]
    (tmp_path / "data.json").write_text("\n".join(map(json.dumps, docs)))
    (tmp_path / "tiny.yaml").write_text(TASK.format(path=tmp_path / "data.json"))
    (tmp_path / "tiny.py").write_text(CODE)
    settings = Settings(data=tmp_path, benchmarks=("tiny_shapes",), out=tmp_path / "out")
    rows = vision.measure(Run(settings, "vision", assistant=load("pocket")))
    assert [(one.case, one.scores["right"]) for one in rows] == [("tiny_shapes/0", True), ("tiny_shapes/1", False)]
    assert vision.sections(rows)[0].tables[0].texts()[0][0] == "tiny_shapes"


def test_the_entry_point_names_a_model_of_the_harness() -> None:
    pytest.importorskip("lmms_eval.models.registry_v2")
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    from vita.evaluate.harness.lmms_entry import manifest

    registry = ModelRegistryV2()
    registry.register_manifest(manifest())
    model = registry.get_model_class("vita")(pretrained="pocket")
    with pytest.raises(ConfigError, match="answers in words"):
        model.loglikelihood([])
