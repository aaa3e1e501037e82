"""What a stage learns: the replies of conversations, by the whole model. `ctc.py` has the other objective.

Called by `stage_run.py`, which knows steps, gradients and checkpoints, and nothing of what is learned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from transformers import PreTrainedModel

from vita.data.loader import ReplyEncoder, ResumableLoader
from vita.data.mixture import Mixture
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.packed_attention import ARGUMENT, SampleLengths, use_packed_attention
from vita.models.processing_vita import VitaProcessor
from vita.train.ctc import CtcObjective
from vita.train.export import load_for_stage
from vita.train.feeding import num_learned, num_passes, num_tokens, plan_of, with_stand_ins
from vita.train.parts import train_mode
from vita.train.processes import Processes
from vita.train.tuning_recipe import TuningRecipe
from vita.train.tuning_stage import CTC, TuningStage


class Objective(Protocol):
    """A model and what it learns from batches.

    model: as the stage trains it, on the CPU, gradients on where it learns.
    notes: lines for the terminal.
    """

    notes: list[str]

    @property
    def model(self) -> nn.Module:
        """As it is trained."""
        ...

    def train_mode(self) -> None:
        """What learns, and only that, in training mode."""
        ...

    def num_steps(self, mixture: Mixture, epochs: float) -> float:
        """Batches of one process that so many epochs are."""
        ...

    def loader(self, mixture: Mixture, *, rank: int, world_size: int) -> ResumableLoader:
        """The batches of a process."""
        ...

    def num_learned(self, inputs: dict[str, Tensor]) -> int:
        """What the loss of a batch is a sum over."""
        ...

    def num_tokens(self, inputs: dict[str, Tensor]) -> int:
        """What the speed is counted in."""
        ...

    def loss(self, inputs: dict[str, Tensor], learned: float, share: float | None) -> Tensor:
        """The loss of a batch, summed, over all that is learned in the step.

        Args:
            inputs: of the batch.
            learned: `num_learned` of all batches of the step, of all processes.
            share: of this batch among them, for losses that are means over batches; None in evaluation.
        """
        ...


class ReplyObjective:
    """The replies of conversations; see `Objective`.

    Args:
        recipe, stage: what to do.
        source: the checkpoint that the stage begins with.
        processes: that train.
    """

    def __init__(self, recipe: TuningRecipe, stage: TuningStage, source: Path, processes: Processes) -> None:
        self._recipe, self._stage, self._processes = recipe, stage, processes
        self._processor = VitaProcessor.from_pretrained(source)
        self.model = load_for_stage(source, stage, recipe.precision, whole_parts=processes.shares_weights)
        self.notes: list[str] = []
        self._splits = recipe.packing and use_packed_attention(_language_model(self.model), compiled=recipe.compile)
        if recipe.gradient_checkpointing:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._needs = {
            kind: processes.shares_weights or any(part.startswith(kind) for part in stage.train)
            for kind in ("vision", "audio")
        }

    def train_mode(self) -> None:
        """See `parts.train_mode`."""
        train_mode(self.model, self._stage)

    def num_steps(self, mixture: Mixture, epochs: float) -> float:
        """See `feeding.num_passes`."""
        return num_passes(self._recipe, mixture, self._processor, epochs)

    def loader(self, mixture: Mixture, *, rank: int, world_size: int) -> ResumableLoader:
        """See `feeding.plan_of`."""
        plan = plan_of(self._recipe, mixture, self._processor, rank, world_size)
        encoder = ReplyEncoder.of(plan, self._processor)
        return ResumableLoader(plan, encoder, workers=self._recipe.workers, leave_out=self._recipe.leave_out)

    def num_learned(self, inputs: dict[str, Tensor]) -> int:
        """Tokens that are predicted."""
        return num_learned(inputs)

    def num_tokens(self, inputs: dict[str, Tensor]) -> int:
        """Tokens."""
        return num_tokens(inputs)

    def loss(self, inputs: dict[str, Tensor], learned: float, share: float | None) -> Tensor:
        """The mean over tokens; the router's loss of mixtures of experts is a mean over the batches."""
        config = self._processor.config
        given: dict[str, Any] = with_stand_ins(
            inputs, config, pictures=self._needs["vision"], sounds=self._needs["audio"]
        )
        if self._splits:
            given[ARGUMENT] = SampleLengths(inputs["position_ids"])
        coefficient = getattr(config.text_config, "router_aux_loss_coef", 0.0) if share is not None else 0.0
        if coefficient:
            given["output_router_logits"] = True
        outputs = self._processes.forward(
            **given, use_cache=False, skip_logits=True, num_items_in_batch=max(learned, 1.0)
        )
        if not coefficient or share is None:
            return outputs.loss
        wanted = self._recipe.router_aux_loss if self._recipe.router_aux_loss >= 0 else coefficient
        return outputs.loss + (share * wanted - coefficient) * outputs.aux_loss.to(outputs.loss.device)


def _language_model(model: VitaForConditionalGeneration) -> PreTrainedModel:
    """The language model inside of adapters, if there are any."""
    language_model: Any = model.language_model
    return language_model.get_base_model() if hasattr(language_model, "get_base_model") else language_model


def open_objective(
    recipe: TuningRecipe, stage: TuningStage, mixture: Mixture, source: Path, folder: Path, processes: Processes
) -> Objective:
    """What a stage learns, by its key `objective`."""
    if stage.objective == CTC:
        return CtcObjective(recipe, mixture, source, folder, processes)
    return ReplyObjective(recipe, stage, source, processes)
