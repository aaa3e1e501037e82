"""Proof that what is frozen stays as it was, bit for bit: digests of tensors before and after.

Called by `tuning.py` and `stages.py`; `features.py` marks what it has stored with the fingerprint of its towers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def frozen_digests(model: nn.Module) -> dict[str, str]:
    """A digest of all that must not change: frozen parameters, all buffers; of a shared out one, of this share."""
    return {name: _digest(value) for name, value in _frozen(model)}


def assert_frozen(model: nn.Module, before: dict[str, str]) -> None:
    """Raises RuntimeError that names what has changed; that is a fault of ours, not of the user."""
    after = frozen_digests(model)
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    if changed:
        raise RuntimeError(f"{len(changed)} frozen tensors have changed in training, such as {min(changed)}")


def fingerprint(*models: nn.Module) -> str:
    """One digest of all that the models hold, trained or not."""
    joined = hashlib.blake2b(digest_size=16)
    for model in models:
        for name, value in model.state_dict().items():
            joined.update(f"{name} {_digest(value)}\n".encode())
    return joined.hexdigest()


def _frozen(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, value) for name, value in model.named_parameters() if not value.requires_grad)
    yield from model.named_buffers()


def _digest(value: Tensor) -> str:
    local = getattr(value, "to_local", lambda: value)()  # a rank's share under FSDP2; ds_tensor is that under ZeRO-3
    local = getattr(local, "ds_tensor", local)
    content = local.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(content.numpy().tobytes(), digest_size=16).hexdigest()
