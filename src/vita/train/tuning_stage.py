"""One stage of a recipe that trains a checkpoint: what learns, for how long, and how its weights are prepared.

Part of `tuning_recipe.py`; read by all that runs a stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vita.errors import ConfigError
from vita.train.optimiser import StageSettings

PARTS = ("language_model", "vision_tower", "vision_connector", "audio_tower", "audio_connector")
LORA = "lora"
REPLIES, CTC = "replies", "ctc"


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """The adapters of a stage that trains `lora`.

    rank, alpha, dropout: PEFT's r, lora_alpha, lora_dropout.
    targets: endings of the names of the linear layers that get one; empty for all linear layers but the head.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 <= self.dropout < 1 or self.alpha <= 0:
            raise ConfigError("lora settings out of range", got=self, expected="rank >= 1, alpha > 0, dropout 0 .. 1")


@dataclass(frozen=True, kw_only=True)
class VocabularySettings:
    """New pieces for the tokenizer, before the stage begins; none without a corpus.

    corpus: text files, or records (.json, .jsonl) whose turns are read.
    pieces: how many at most.
    max_length: longest new piece, in old pieces (characters, for a unigram tokenizer).
    """

    corpus: tuple[str, ...] = ()
    pieces: int = 20_000
    max_length: int = 16

    def __post_init__(self) -> None:
        if self.pieces < 1 or self.max_length < 2:
            got = f"pieces {self.pieces}, max_length {self.max_length}"
            raise ConfigError("vocabulary settings out of range", got=got, expected="pieces >= 1, max_length >= 2")


@dataclass(frozen=True, kw_only=True)
class TuningStage:
    """One stage; it begins with the model that the stage before it wrote.

    name: folder of the stage in the run's folder.
    data: names of the data files that it learns from; empty for all.
    objective: "replies": the replies of conversations; "ctc": the audio tower alone learns transcripts.
    train: the parts that learn, of PARTS, or "lora": adapters in the language model. All others are frozen.
    steps: optimiser steps; 0 means that `epochs` decides.
    max_tokens, batch_size, gradient_accumulation: instead of the recipe's; 0 takes those.
    epochs: how often all records are gone through (by their number; with weights, some come more often).
    learning_rate: the peak; linear warm-up, then cosine to `final_share` of it.
    warmup_share: the warm-up's share of the steps.
    final_share: learning rate at the end as a share of the peak.
    weight_decay: on matrices only.
    gradient_clip: largest norm of the gradient.
    lora: the adapters, if `train` names them.
    vocabulary: new pieces for the tokenizer, with which the stage begins.
    """

    name: str = "tune"
    data: tuple[str, ...] = ()
    objective: str = REPLIES
    train: tuple[str, ...] = ("vision_connector", "audio_connector")
    steps: int = 0
    max_tokens: int = 0
    batch_size: int = 0
    gradient_accumulation: int = 0
    epochs: float = 1.0
    learning_rate: float = 2e-5
    warmup_share: float = 0.03
    final_share: float = 0.0
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    lora: LoraSettings = field(default_factory=LoraSettings)
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)

    def __post_init__(self) -> None:
        unknown = [part for part in self.train if part not in (*PARTS, LORA)]
        if unknown or not self.train or len(set(self.train)) < len(self.train):
            got = unknown[0] if unknown else list(self.train)
            raise ConfigError(f"stage {self.name}: train", got=got, expected=f"some of {', '.join((*PARTS, LORA))}")
        if self.objective not in (REPLIES, CTC):
            raise ConfigError(f"stage {self.name}: objective", got=self.objective, expected=f"{REPLIES} or {CTC}")
        if self.objective == CTC and self.train != ("audio_tower",):
            raise ConfigError(f"stage {self.name}: ctc trains the audio tower alone", fix="train: [audio_tower]")
        if LORA in self.train and "language_model" in self.train:
            raise ConfigError(f"stage {self.name} trains the language model and adapters in it", fix="name one of them")
        if min(self.max_tokens, self.batch_size, self.gradient_accumulation) < 0:
            raise ConfigError(f"stage {self.name}: out of range", got="a size below 0", expected="0 or more")
        if self.steps < 0 or self.epochs <= 0 or not 0 <= self.warmup_share <= 1:
            got = f"steps {self.steps}, epochs {self.epochs}, warmup_share {self.warmup_share}"
            raise ConfigError(f"stage {self.name}: out of range", got=got, expected="steps >= 0, epochs > 0, 0 .. 1")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ConfigError("a stage's name is the name of a folder", got=repr(self.name))
        self.settings(1)

    def settings(self, steps: int) -> StageSettings:
        """The learning rate of every step, weight decay and clipping; ConfigError for what is out of range."""
        return StageSettings(
            steps=steps,
            learning_rate=self.learning_rate,
            warmup_steps=round(self.warmup_share * steps),
            final_share=self.final_share,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
        )
