"""What lmms-eval loads by the entry point group `lmms_eval.models`: where its model "vita" is."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """A `ModelManifest`. Called by lmms-eval, which is there then."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="vita", simple_class_path="vita.evaluate.harness.vision_model.VitaLmms")
