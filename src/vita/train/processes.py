"""One training process or several (DDP by Accelerate, FSDP2 by torch, ZeRO-3 by DeepSpeed), and what differs then.

Called by `tuning.py`. The processes are started by torchrun or `accelerate launch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from vita.errors import ConfigError, DependencyError
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.optimiser import update
from vita.train.tuning_recipe import FSDP2, ZERO3, TuningRecipe
from vita.train.zero3 import Zero3, check_installed, gathered, is_shared

TIMEOUT = timedelta(hours=2)  # the first process writes a large model while the others wait


class Processes:
    """The processes of a run, seen from one of them.

    Args:
        recipe: says how they share the work.
    """

    def __init__(self, recipe: TuningRecipe) -> None:
        if recipe.device == "cuda" and not torch.cuda.is_available():
            raise DependencyError("the recipe asks for CUDA, which is not there", fix="--set device=cpu")
        cpu = recipe.device == "cpu" or not torch.cuda.is_available()
        self._accelerator = Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)])
        self.world_size, self.rank = self._accelerator.num_processes, self._accelerator.process_index
        self.parallel = recipe.parallel if self.world_size > 1 else "none"
        if self.world_size > 1 and recipe.parallel == "none":
            raise ConfigError(
                f"{self.world_size} processes, but the recipe has parallel: none", fix="--set parallel=ddp"
            )
        if self.parallel == ZERO3:
            check_installed()
        self.device = self._accelerator.device
        self._bf16, self._compile = recipe.precision == "bf16", recipe.compile
        self._forward: nn.Module | Zero3 | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    @property
    def shares_weights(self) -> bool:
        """Whether each process holds a share of the weights, and all pass through every part together."""
        return self.parallel in (FSDP2, ZERO3)

    def place(self, model: nn.Module) -> None:
        """Moves a model to where it is trained; with FSDP2, shares out its weights. `shared_optimiser` comes after."""
        if self._compile:
            for layer in layers_of(model):
                layer.compile()
        if self.parallel == FSDP2:
            self._shard(model)
        elif self.parallel != ZERO3:
            model.to(self.device)
        if self.parallel == "ddp":
            self._forward = self._accelerator.prepare_model(model, evaluation_mode=False)
        else:
            self._forward = model

    def shared_optimiser(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, gradient_clip: float
    ) -> torch.optim.Optimizer | Zero3:
        """What stands for the optimiser from here on: with ZeRO-3, model and optimiser are shared out together."""
        if self.parallel != ZERO3:
            return optimiser
        self._forward = Zero3(model, optimiser, device=self.device, bf16=self._bf16, gradient_clip=gradient_clip)
        return self._forward

    def _shard(self, model: nn.Module) -> None:
        """Each layer, tower and connector is gathered when it is used; embeddings and head for the whole pass."""
        mesh = dist.device_mesh.init_device_mesh(self.device.type, (self.world_size,))
        lowered = torch.bfloat16 if self._bf16 else None
        policy = MixedPrecisionPolicy(param_dtype=lowered, reduce_dtype=torch.float32 if lowered else None)
        # the tower casts after its normalisation, which wants float32
        hearing = MixedPrecisionPolicy(policy.param_dtype, policy.reduce_dtype, cast_forward_inputs=False)
        for module in layers_of(model):
            fully_shard(module, mesh=mesh, mp_policy=policy)
        for name in ("audio_tower", "vision_tower", "vision_connector", "audio_connector"):
            if hasattr(model, name):
                own = hearing if name == "audio_tower" else policy
                fully_shard(getattr(model, name), mesh=mesh, mp_policy=own)
        fully_shard(model, mesh=mesh, mp_policy=MixedPrecisionPolicy(lowered, policy.reduce_dtype, None, False))

    def forward(self, **inputs: Any) -> Any:
        """The model's outputs for inputs on any device."""
        assert self._forward is not None
        inputs = {k: v.to(self.device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in inputs.items()}
        autocast = self._bf16 and not self.shares_weights
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            return self._forward(**inputs)

    @contextmanager
    def gradients_stay(self, stay: bool) -> Iterator[None]:
        """Whether gradients of the passes in it are kept back, to be exchanged with those of a later pass."""
        forward: Any = self._forward
        if self.parallel == FSDP2:
            forward.set_requires_gradient_sync(not stay)
        with forward.no_sync() if stay and self.parallel == "ddp" else nullcontext():
            yield

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Gradients of a pass; `is_last` of those whose gradients are exchanged together."""
        if isinstance(self._forward, Zero3):
            self._forward.backward(loss, is_last=is_last)
        else:
            loss.backward()

    def total(self, value: float | Tensor) -> float:
        """The sum of a number over all processes, in double precision."""
        number = torch.as_tensor(value, dtype=torch.float64).detach().clone()
        if self.world_size > 1:
            number = number.to(self.device)
            dist.all_reduce(number)
        return float(number)

    def update(
        self, optimiser: torch.optim.Optimizer | Zero3, parameters: list[nn.Parameter], rate: float, most: float
    ) -> float:
        """One optimiser step at this learning rate, all gradients scaled so that their common norm is at most `most`.

        Returns the norm before; where it is not finite, the step was left out.
        """
        if isinstance(optimiser, Zero3):
            return optimiser.step(rate)
        norm = nn.utils.clip_grad_norm_(parameters, most)
        norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        update(optimiser, rate, norm)
        return norm

    def collect(self, value: Any) -> list[Any]:
        """An object of every process, in the order of their ranks."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        self._accelerator.wait_for_everyone()

    def close(self) -> None:
        """Ends the group of processes; a later run in this process may be on another device."""
        self._accelerator.end_training()
        if dist.is_initialized():
            dist.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of the language model and of both towers."""
    language_model: Any = getattr(model, "language_model", None)
    names = {
        *(VitaForConditionalGeneration._no_split_modules or ()),
        *(getattr(language_model, "_no_split_modules", None) or ()),
    }
    return [module for module in model.modules() if type(module).__name__ in names]


def whole(value: Tensor) -> Tensor:
    """A tensor with the shares of all processes; all of them must ask for it."""
    if is_shared(value):
        return gathered(value).cpu()
    return (value.full_tensor() if isinstance(value, DTensor) else value).detach().cpu()


def fill(value: Tensor, content: Tensor) -> None:
    """Writes a whole tensor into one that may be shared out."""
    with torch.no_grad():
        if isinstance(value, DTensor):
            content = content.to(value.device, value.dtype)
            content = distribute_tensor(content, value.device_mesh, value.placements, src_data_rank=None)
        value.copy_(content)
