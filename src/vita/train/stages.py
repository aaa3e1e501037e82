"""The stages of the pocket recipe: synthesis, 1 language, 2a seeing, 2b hearing, 3 multimodal.

Each goes on from its last checkpoint. `vita.train.run` is the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from vita.checkpoints.loading import find_model
from vita.errors import CheckpointError, ConfigError, DependencyError
from vita.models.configuration_vita import VitaConfig
from vita.synth.speech_set import SpeechShard, load_shard
from vita.train.assemble import assemble, join_projections, save, start_from
from vita.train.curriculum import CurriculumBatches
from vita.train.features import FeatureShard, feature_shard, silent_shard
from vita.train.frozen import assert_frozen, frozen_digests
from vita.train.hearing import Hearing, PhonemeLexicon, SpeechBatches, cmvn_statistics, hearing_loss
from vita.train.instruct import Instructed, SequenceBatches, instruct_loss
from vita.train.loop import load_progress, run_stage
from vita.train.multimodal import RealSequences, picture_turns
from vita.train.optimiser import StageSettings
from vita.train.pocket import plurals_like_singulars, pocket_config
from vita.train.recipe import Recipe
from vita.train.samples import TurnWriter
from vita.train.seeing import PictureBatches, Seeing, seeing_loss
from vita.train.tokenizer import build_tokenizer, save_tokenizer

Configure = Callable[[PreTrainedTokenizerFast], VitaConfig]
"""Gives the model's configuration for a tokenizer."""
STEPS_PER_SHARD, FIRST_SHARDS = 50, 10


class PocketRun:
    """One run of a recipe in its folder; every method can be interrupted and called again.

    Args:
        recipe: what to train.
        folder: of the run.
        report: is told each line of the log.
        configure: gives the model's configuration for a tokenizer; importable by name, for `tracks`.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        report: Callable[[str], None],
        configure: Configure = pocket_config,
    ) -> None:
        self.recipe, self.folder, self.report, self.configure = recipe, folder, report, configure
        if recipe.device == "cuda" and not torch.cuda.is_available():
            raise DependencyError("the recipe asks for CUDA, which is not there", fix="--set device=cpu")
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(found if recipe.device == "auto" else recipe.device)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Built once (or that of the checkpoint to start from), then kept in the run's folder."""
        folder = self.folder / "tokenizer"
        if not folder.is_dir() and self.recipe.start_from:
            save_tokenizer(PreTrainedTokenizerFast.from_pretrained(find_model(self.recipe.start_from)), folder)
        elif not folder.is_dir():
            save_tokenizer(build_tokenizer(), folder)
        return PreTrainedTokenizerFast.from_pretrained(folder)

    @cached_property
    def config(self) -> VitaConfig:
        """The model's configuration."""
        return self.configure(self.tokenizer)

    @cached_property
    def lexicon(self) -> PhonemeLexicon:
        """Phonemes of words, kept in the run's folder."""
        return PhonemeLexicon(self.folder / "lexicon.json")

    def _shard(self, number: int) -> SpeechShard:
        return load_shard(self.folder / "speech", self.recipe.seed, number, self.recipe.shard_size)

    def _new(self, kind: Callable[[], nn.Module]) -> nn.Module:
        torch.manual_seed(self.recipe.seed)
        model = kind()
        if self.recipe.start_from:
            start_from(find_model(self.recipe.start_from), model)
        return model.to(self.device)

    def _trained(self, model: nn.Module, name: str, settings: StageSettings) -> nn.Module:
        """A stage's model with its trained weights, or those of `start_from` where the stage was left out."""
        if self.recipe.start_from and not (self.folder / f"{name}.pt").is_file():
            start_from(find_model(self.recipe.start_from), model)
            return model.eval()
        steps = load_progress(self.folder / f"{name}.pt", model, None, self.device)
        if steps < settings.steps:
            raise CheckpointError(
                f"stage {name} has {steps} of {settings.steps} steps", fix=f"run --stage {name} first"
            )
        return model.eval()

    def prepare(self) -> None:
        """What the stages share is there: processes that train them side by side read it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        assert self.tokenizer

    def synth(self) -> None:
        """All shards of spoken turns."""
        for number in range(self.recipe.speech_shards):
            self._shard(number)
            self.report(f"synth: shard {number + 1} of {self.recipe.speech_shards}")

    def language(self) -> None:
        """Stage 1: the language model on symbols."""
        model = self._new(lambda: Instructed(self.config))
        assert isinstance(model, Instructed)
        if not self.recipe.start_from:
            words = model.language_model.get_input_embeddings().weight.data
            plurals_like_singulars(words, self.tokenizer)
            model.hearing.table.data.copy_(torch.cat([words, torch.zeros_like(words[:1])]))
        writer = TurnWriter(self.tokenizer, self.config.states)
        batches = CurriculumBatches(
            writer,
            seed=self.recipe.seed,
            steps=self.recipe.language.steps,
            batch_size=self.recipe.language_batch,
        )
        self._run(
            "language", model, batches, lambda batch: instruct_loss(model, batch, self.device), self.recipe.language
        )

    def seeing(self) -> None:
        """Stage 2a: the vision tower and its connector on dense labels."""
        model = self._new(lambda: Seeing(self.config))
        assert isinstance(model, Seeing)
        batches = PictureBatches(
            self.config,
            seed=self.recipe.seed,
            batch_size=self.recipe.seeing_batch,
            print_share=self.recipe.print_share,
            small_steps=round(self.recipe.small_share * self.recipe.seeing.steps),
        )
        self._run("seeing", model, batches, lambda batch: seeing_loss(model, batch, self.device), self.recipe.seeing)

    def hearing(self) -> None:
        """Stage 2b: the audio tower and its connector by CTC."""
        model = self._new(lambda: Hearing(self.config.audio_config, len(self.lexicon.symbols)))
        assert isinstance(model, Hearing)
        batches = SpeechBatches(
            self.folder / "speech",
            self.tokenizer,
            self.lexicon,
            seed=self.recipe.seed,
            num_shards=self.recipe.speech_shards,
            batch_size=self.recipe.hearing_batch,
            steps_per_shard=STEPS_PER_SHARD,
            first_shards=min(FIRST_SHARDS, self.recipe.speech_shards),
            easy_steps=self.recipe.easy_steps,
            load=lambda folder, seed, number: self._shard(number),
        )
        if not self.recipe.start_from:
            model.tower.cmvn.load_statistics(*cmvn_statistics([self._shard(0)]))
        self._run("hearing", model, batches, lambda batch: hearing_loss(model, batch, self.device), self.recipe.hearing)

    def multimodal(self) -> None:
        """Stage 3: language model and projections on what the frozen towers give; then the checkpoint is written."""
        hearing, seeing = self._towers()
        model = self._new(lambda: Instructed(self.config))
        assert isinstance(model, Instructed)
        self._trained(model, "language", self.recipe.language)
        join_projections(model, hearing, seeing)
        frozen = (hearing, seeing, model.hearing.head)
        before = [frozen_digests(part) for part in frozen]
        shards = [
            *(
                self._features(f"features-{number:04d}", number, self._shard(number), hearing, seeing)
                for number in range(min(self.recipe.instruct_shards, self.recipe.speech_shards))
            ),
            *(
                self._features(f"pictures-{number:04d}", number, self._pictures(number), hearing, seeing)
                for number in range(self.recipe.picture_shards)
            ),
        ]
        sequences = RealSequences(TurnWriter(self.tokenizer, self.config.states), shards)
        batches = SequenceBatches(
            sequences, seed=self.recipe.seed, name="multimodal", batch_size=self.recipe.language_batch
        )
        self._run(
            "multimodal", model, batches, lambda batch: instruct_loss(model, batch, self.device), self.recipe.multimodal
        )
        for part, digests in zip(frozen, before, strict=True):
            assert_frozen(part, digests)
        self.assemble(model, hearing, seeing)

    def assemble(self, model: Instructed, hearing: Hearing, seeing: Seeing) -> None:
        """Write the checkpoint folder."""
        save(assemble(self.config, model.cpu(), hearing.cpu(), seeing.cpu()), self.tokenizer, self.folder / "model")
        self.report(f"model: {self.folder / 'model'}")

    def _towers(self) -> tuple[Hearing, Seeing]:
        hearing, seeing = Hearing(self.config.audio_config, len(self.lexicon.symbols)), Seeing(self.config)
        self._trained(hearing.to(self.device), "hearing", self.recipe.hearing)
        self._trained(seeing.to(self.device), "seeing", self.recipe.seeing)
        return hearing.requires_grad_(False), seeing.requires_grad_(False)

    def _pictures(self, number: int) -> SpeechShard:
        return silent_shard(picture_turns(self.recipe.seed, number, self.recipe.shard_size))

    def _features(self, name: str, number: int, shard: SpeechShard, hearing: Hearing, seeing: Seeing) -> FeatureShard:
        self.report(f"features: {name}")
        path = self.folder / "features" / f"{name}.npz"
        return feature_shard(path, shard, number, hearing, seeing, self.config, self.device)

    def _run(self, name: str, model: nn.Module, batches: Callable, loss: Callable, settings: StageSettings) -> None:
        moving = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.report(
            json.dumps(
                {"stage": name, "trained_parameters": moving, "steps": settings.steps, "device": str(self.device)}
            )
        )
        run_stage(name, model, batches, loss, settings, self.folder, device=self.device, report=self.report)


STAGES = ("synth", "language", "seeing", "hearing", "multimodal")


def check_stage(name: str) -> str:
    """The name of a stage, or ConfigError."""
    if name not in STAGES:
        raise ConfigError("unknown stage", got=name, expected=", ".join(STAGES))
    return name
