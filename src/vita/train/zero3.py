"""DeepSpeed ZeRO-3: weights, gradients and the optimiser's state shared out between the processes.

Called by `processes.py`, where a recipe says `parallel: zero3`. Checkpoints are written whole, as those of any other
way. DeepSpeed is imported when a run asks for it.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vita.errors import DependencyError

STEP = "step"
"""The one part of AdamW's state that is a number and not of the parameter's shape."""


def check_installed() -> None:
    """Raises DependencyError without DeepSpeed."""
    if importlib.util.find_spec("deepspeed") is None:
        raise DependencyError("parallel: zero3 needs DeepSpeed", fix="pip install 'vita-omni[zero3]', or use fsdp2")


def config_of(*, bf16: bool, gradient_clip: float) -> dict[str, Any]:
    """What DeepSpeed is told. Accumulation is counted by the training loop, and gradients are exchanged in float32."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": gradient_clip,
        "steps_per_print": 2**31,
        "communication_data_type": "fp32",
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {"stage": 3},
        "torch_autocast": {"enabled": bf16, "dtype": "bfloat16", "lower_precision_safe_modules": []},
    }


def expert_blocks(model: nn.Module) -> list[nn.Module]:
    """The layers of experts with their routers: gathered once for all experts, whichever of them a process asks."""
    return [module for module in model.modules() if isinstance(getattr(module, "experts", None), nn.Module)]


class Zero3:
    """A model and its optimiser, shared out.

    Args:
        model: whole, on any device; its parameters are shared out in place.
        optimiser: of its parameters.
        device: where it is trained.
        bf16: compute in bfloat16; weights stay as they are.
        gradient_clip: largest norm of the gradient.
    """

    def __init__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, *, device: torch.device, bf16: bool,
        gradient_clip: float,
    ) -> None:  # fmt: skip
        check_installed()
        if device.type == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        import deepspeed  # pyright: ignore[reportMissingImports]

        if device.type == "cpu":  # gloo does; DeepSpeed's own exchange would have to be compiled first
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        self._tools = deepspeed.utils
        blocks = {type(block) for block in expert_blocks(model)}
        if blocks:
            self._tools.set_z3_leaf_modules(model, list(blocks))
        config = config_of(bf16=bf16, gradient_clip=gradient_clip)
        self._engine, self._optimiser, *_ = deepspeed.initialize(
            model=model, optimizer=optimiser, config=config, dist_init_required=False
        )

    def __call__(self, **inputs: Any) -> Any:
        """The model's outputs."""
        return self._engine(**inputs)

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Gradients of a pass, added to those before; the last pass of a step is said to be it."""
        self._engine.set_gradient_accumulation_boundary(is_last)
        self._engine.backward(loss)

    def step(self, rate: float) -> float:
        """One update at this learning rate; the norm of the gradient. It is left out where that is not finite."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._engine.step()
        return math.inf if self._optimiser.overflow else float(self._engine.get_global_grad_norm())

    def state_of(self, parameter: nn.Parameter) -> Iterator[tuple[str, Tensor]]:
        """The optimiser's state of a parameter, whole; all processes must ask for it."""
        state = self._flat_state(parameter)
        for kind in sorted(state):
            if kind == STEP:
                yield kind, state[kind].clone()  # one for many parameters
            else:
                yield kind, self._tools.safe_get_full_optimizer_state(parameter, kind)

    def set_state(self, parameter: nn.Parameter, kind: str, value: Tensor) -> None:
        """Takes what `state_of` gave, with any number of processes."""
        state = self._flat_state(parameter)
        if kind == STEP:
            fused = self._optimiser.optimizer.defaults.get("fused")
            state[kind] = value.clone().to(self._flat(parameter).device if fused else value.device)
            return
        if kind not in state:
            state[kind] = torch.zeros_like(self._flat(parameter))
        share = self._tools.safe_get_local_optimizer_state(parameter, kind)
        own = torch.zeros_like(share)
        begin = torch.distributed.get_rank() * share.numel()
        content = value.flatten()[begin : begin + share.numel()]
        own[: content.numel()] = content.to(own)  # the last share may be longer than what is left for it
        self._tools.safe_set_local_optimizer_state(parameter, own, kind)

    def _flat(self, parameter: nn.Parameter) -> Tensor:
        """The tensor that holds this process's shares of the parameters of a group."""
        group = self._optimiser.grad_position[self._optimiser.get_param_id(parameter)][0]
        return self._optimiser.fp32_partitioned_groups_flat[group]

    def _flat_state(self, parameter: nn.Parameter) -> dict[str, Any]:
        return self._optimiser.optimizer.state[self._flat(parameter)]


def is_shared(value: Tensor) -> bool:
    """Whether a tensor is a parameter that DeepSpeed has shared out."""
    return hasattr(value, "ds_tensor")


def gathered(value: Tensor) -> Tensor:
    """A parameter that is shared out, whole; all processes must ask for it."""
    import deepspeed  # pyright: ignore[reportMissingImports]

    with deepspeed.zero.GatheredParameters([value]):
        return value.detach().clone()
