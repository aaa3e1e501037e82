"""The commands of README.md and docs/models.md on other models, run as they are written there, on tiny checkpoints.

Only names are put in place of those that stand for a reader's own: folders, models on the hub, a photo.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import tiny_parts
from tests.checkpoints.reference_like import make
from tests.conftest import make_tokenizer
from vita.cli.main import main

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/models.md")
PROMPTS = {"mixtral_two": "a", "qwen2p5_instruct": "b"}
"""Prompt format of a release, as a clone of the reference names it -> a prompt."""


def lines() -> list[str]:
    """Every line of those documents that converts, composes or uses a model from elsewhere."""
    found = []
    for name in DOCUMENTS:
        for block in re.findall(r"```\w*\n(.*?)```", (REPOSITORY / name).read_text(encoding="utf-8"), re.DOTALL):
            commands = [line.removeprefix(".venv/bin/") for line in block.splitlines()]
            found += [line.removeprefix("vita ") for line in commands if re.match("vita (convert|compose) ", line)]
            found += [line.removeprefix("vita ") for line in commands if re.match("vita .*--model models/", line)]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a document names -> what is there; the lines follow each other, as a reader would call them."""
    root = tmp_path_factory.mktemp("documents")
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})
    tokenizer.bos_token = None
    newer = make("qwen2").write(root / "VITA-1.5", num_shards=2, tokenizer_model_max_length=2000)
    tokenizer.save_pretrained(newer)
    older = make().write(root / "VITA")
    make_tokenizer().save_pretrained(older)
    tuned = root / "lora-folder"
    tuned.mkdir()
    config = json.loads((newer / "config.json").read_text())
    (tuned / "config.json").write_text(json.dumps({**config, "_name_or_path": "owner/base"}))
    (tuned / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8}))
    from safetensors.torch import save_file

    from tests.checkpoints.test_merging import adapter

    save_file(adapter(), tuned / "adapter_model.safetensors")
    clone = root / "clone"
    clone.mkdir()
    calls = [f"Conversation(system=['a', 'b', 'c'], version={version!r})" for version in PROMPTS]
    (clone / "conversation.py").write_text("\n".join(calls))
    language, vision = tiny_parts.language_model(root / "llm"), tiny_parts.siglip(root / "siglip")
    audio = tiny_parts.whisper(root / "whisper")
    return {
        "path/to/checkpoint": str(newer), "path/to/VITA-1.5": str(newer), "path/to/VITA": str(older),
        "path/to/lora-folder": str(tuned), "path/to/clone-of-the-reference": str(clone), "photo.jpg": "shapes.png",
        "LLM": str(language), "SIGLIP": str(vision), "WHISPER": str(audio),
        "Qwen/Qwen2.5-7B-Instruct": str(language), "google/siglip-so400m-patch14-384": str(vision),
        "openai/whisper-small": str(audio),
    }  # fmt: skip


def test_every_line_runs(
    names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import vita.server.serving

    served: list[Any] = []
    monkeypatch.setattr(vita.server.serving, "serve", lambda app, endpoint, listening, **options: served.append(app))
    monkeypatch.chdir(tmp_path)
    for folder in ("models", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "shapes.png").write_bytes((REPOSITORY / "examples" / "shapes.png").read_bytes())
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    done: set[str] = set()
    for line in lines():
        words = [names.get(word, word) for word in shlex.split(line)]
        if words[0] in ("convert", "compose") and words[-1] != "--back":
            made = next(word for word in words if word.startswith("models/"))
            if (tmp_path / made).exists():
                continue
        if "--quantize" in words:
            if importlib.util.find_spec("bitsandbytes") is None:
                continue
            words[words.index("--model") + 1] = (
                "pocket"  # the library's blocks are wider than the tiny model's matrices
            )
        if words[0] == "serve":
            words += ["--port", "0"]
        if words[0] == "ask":
            words += ["--state", "answer", "--max-new-tokens", "3"]
        assert main(words) == 0, f"{line}: {capsys.readouterr().err}"
        done.add(words[0])
    assert done == {"convert", "compose", "doctor", "ask", "serve"}
    assert len(served) == 1
    assert (tmp_path / "out" / "reference" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "options",
    [
        ["--device-map", "auto", "--offload-dir", "offloaded"],
        ["--dtype", "bfloat16"],
        ["--quantize", "int8"],
        ["--quantize", "int4"],
    ],
    ids=lambda options: options[1],
)
def test_the_pocket_model_under_every_option(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--quantize" in options and importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    monkeypatch.chdir(tmp_path)
    assert main(["ask", "How many legs does a spider have?", *options]) == 0
    assert "eight" in capsys.readouterr().out.lower()
