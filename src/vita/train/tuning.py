"""Training of a checkpoint by a recipe: stage after stage, each resumable to the last bit on a CPU.

A stage loads the model that the stage before it wrote, freezes what it does not train, goes through its steps, proves
that what was frozen is as it was, and writes a model folder. Called by `vita.train.run`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vita.checkpoints.loading import find_model
from vita.errors import CheckpointError
from vita.train.export import export_model
from vita.train.feeding import open_mixture
from vita.train.hearing_statistics import has_statistics, write_statistics
from vita.train.processes import Processes
from vita.train.snapshot import checkpoints
from vita.train.stage_run import StageRun
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import CTC, TuningStage
from vita.train.widening import widen

MODEL, PREPARED = "model", "prepared"


class TuningRun:
    """One run of a recipe in its folder; it can be interrupted at any moment and called again.

    Args:
        recipe: what to train.
        folder: of the run.
        report: is told each line of the log, in the first process.
    """

    def __init__(self, recipe: TuningRecipe, folder: Path, report: Callable[[str], None]) -> None:
        self.recipe, self.folder = recipe, folder
        self.processes = Processes(recipe)
        self.report = report if self.processes.is_main else _nothing

    def run(self, only: str | None = None) -> Path:
        """All stages, or one; the folder of the last one's model."""
        source, finished = self.recipe.model, find_model(self.recipe.model)
        for stage in self.recipe.stages:
            model = self.folder / stage.name / MODEL
            if only in (None, stage.name):
                if model.is_dir():
                    self.report(f"{stage.name}: finished before, {model}")
                else:
                    self._stage(stage, source)
                finished = model
            source = str(model)
        self.processes.wait()
        return finished

    def _stage(self, stage: TuningStage, source: str) -> None:
        if source != self.recipe.model and not Path(source).is_dir():
            before = Path(source).parent.name
            raise CheckpointError(
                f"stage {stage.name} begins with what {before} wrote", fix=f"run --stage {before} first"
            )
        folder = self.folder / stage.name
        folder.mkdir(parents=True, exist_ok=True)
        if source == self.recipe.model:
            source = str(find_model(source))
        begin = self._prepared(stage, Path(source), folder)
        StageRun(self.recipe, stage, begin, folder, self.processes, self.report).run()
        self.processes.wait()
        if self.processes.is_main:
            last = checkpoints(folder)[-1]
            export_model(begin, stage, last, folder / MODEL)
            self.report(f"{stage.name}: written {folder / MODEL}")
        self.processes.wait()

    def _prepared(self, stage: TuningStage, source: Path, folder: Path) -> Path:
        """What the stage begins with: the source, with new pieces or with statistics of sounds where those are due."""
        prepared = folder / PREPARED
        if self.processes.is_main and not prepared.is_dir():
            if stage.vocabulary.corpus:
                for line in widen(source, stage.vocabulary, prepared):
                    self.report(f"{stage.name}: {line}")
            if stage.objective == CTC and not has_statistics(source):
                told = write_statistics(source, open_mixture(self.recipe, stage), prepared)
                self.report(f"{stage.name}: {told}")
        self.processes.wait()
        return prepared if prepared.is_dir() else source


def _nothing(line: str) -> None:
    """Processes other than the first report nothing."""
