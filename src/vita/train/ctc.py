"""A stage that trains the audio tower alone to spell what it hears, by CTC.

The stage needs no language model: the tower, and a head over the characters of the transcripts that is thrown away
afterwards. `hearing.py` has the pocket model's own form of it. Called by `objective.py`.
Shape legend: C clips, N encoder frames, V symbols with the blank (the last), T mel frames, F mel bins, L symbols of a
text.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vita.data.loader import ResumableLoader
from vita.data.mixture import Mixture
from vita.data.plan import PaddedPlan
from vita.data.transcripts import TranscriptEncoder, Units, transcript_of
from vita.errors import CheckpointError
from vita.models.audio_tower import AudioTower
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.configuration_vita import VitaConfig
from vita.tokens import IGNORE_LABEL
from vita.train.ctc_loss import ctc_losses
from vita.train.export import read_tensors
from vita.train.processes import Processes
from vita.train.tuning_recipe import TuningRecipe

HEAD, UNITS = "ctc_head", "units.json"


class CtcModel(nn.Module):
    """The audio tower under its name in a whole model, and the head."""

    def __init__(self, config: VitaAudioConfig, num_units: int) -> None:
        super().__init__()
        self.audio_tower = AudioTower(config)
        self.ctc_head = nn.Linear(config.hidden_size, num_units + 1)

    def forward(self, audio_features: Tensor, audio_lengths: Tensor, targets: Tensor) -> Tensor:
        """[C, T, F], [C], [C, L] padded with -100 -> the sum of the clips' losses."""
        hidden_CND, mask_CN = self.audio_tower(audio_features, audio_lengths)
        log_probs_CNV = self.ctc_head(hidden_CND.to(self.ctc_head.weight.dtype)).float().log_softmax(-1)
        texts = [[i for i in row if i != IGNORE_LABEL] for row in targets.tolist()]
        with torch.autocast(log_probs_CNV.device.type, enabled=False):
            return ctc_losses(log_probs_CNV, mask_CN.sum(1), texts).sum()


class CtcObjective:
    """The audio tower learns transcripts; see `objective.Objective`.

    Args:
        recipe: of the run.
        mixture: records that are sounds with transcripts.
        source: the checkpoint whose tower learns.
        folder: of the stage; the characters are kept there.
        processes: that train.
    """

    def __init__(
        self, recipe: TuningRecipe, mixture: Mixture, source: Path, folder: Path, processes: Processes
    ) -> None:
        self._recipe, self._processes = recipe, processes
        config: VitaConfig = VitaConfig.from_pretrained(source)
        if processes.is_main and not (folder / UNITS).is_file():
            _units_of(mixture).write(folder / UNITS)
        processes.wait()
        units = Units.read(folder / UNITS)
        self._encoder = TranscriptEncoder(config.audio_config, units)
        torch.manual_seed(recipe.seed)
        self.model = CtcModel(config.audio_config, len(units))
        _load_tower(source, self.model.audio_tower)
        self.notes = [f"a head over {len(units)} characters, which is not part of the model, learns with it"]

    def train_mode(self) -> None:
        """Dropout and drawn chunks."""
        self.model.train()

    def num_steps(self, mixture: Mixture, epochs: float) -> float:
        """Batches of one process."""
        return epochs * mixture.num_records / self._recipe.batch_size

    def loader(self, mixture: Mixture, *, rank: int, world_size: int) -> ResumableLoader:
        """The batches of a process."""
        plan = PaddedPlan(mixture=mixture, batch_size=self._recipe.batch_size, rank=rank, world_size=world_size)
        return ResumableLoader(plan, self._encoder, workers=self._recipe.workers, leave_out=self._recipe.leave_out)

    def num_learned(self, inputs: dict[str, Tensor]) -> int:
        """Clips."""
        return len(inputs["audio_lengths"])

    def num_tokens(self, inputs: dict[str, Tensor]) -> int:
        """Encoder frames."""
        return int((inputs["audio_lengths"] // 4).sum())

    def loss(self, inputs: dict[str, Tensor], learned: float, share: float | None) -> Tensor:
        """See `objective.Objective`."""
        return self._processes.forward(**inputs) / max(learned, 1.0)


def _units_of(mixture: Mixture) -> Units:
    return Units.of(
        transcript_of(source.file[index]) for source in mixture.sources for index in range(len(source.file))
    )


def _load_tower(folder: Path, tower: AudioTower) -> None:
    """The tower's tensors of a checkpoint, in float32; nothing else of it is read."""
    prefix = "audio_tower."
    found = {name.removeprefix(prefix): value.float() for name, value in read_tensors(folder, prefix).items()}
    try:
        tower.load_state_dict(found)
    except RuntimeError as error:
        raise CheckpointError(f"the audio tower of {folder} is not that of its config.json", got=error) from error
