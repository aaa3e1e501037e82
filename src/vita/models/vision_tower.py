"""VisionTower: pixels of square tiles to patch features, by transformers' InternViT, SigLIP, CLIP or ResNet.

Called by VitaForConditionalGeneration and by the vision training of the pocket model.
Shape legend: N tiles, S pixels of an edge, P patches, D width of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    InternVLVisionConfig,
    InternVLVisionModel,
    ResNetConfig,
    ResNetModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from vita.errors import ConfigError, MediaError


class VisionTower(nn.Module):
    """The last layer's patch features, class token dropped; or the last feature map of a ResNet.

    SigLIP's end in its last norm, as it was trained; it has no class token, and its pooling head is left out. CLIP's
    are those of its last layer (`compose` leaves out the one layer that only its class token has a use for).
    InternViT accepts tiles of another size than the configured one: the position table is then interpolated
    bicubically, as the reference does. Two details of the reference that transformers leaves to defaults are set for it
    here: the epsilon of the query and key norms is the encoder's own, and nothing follows the last layer (no pooling
    norm).
    """

    def __init__(
        self,
        config: InternVLVisionConfig | ResNetConfig | SiglipVisionConfig | CLIPVisionConfig,
        patch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.num_leading_tokens = 0 if isinstance(config, SiglipVisionConfig) else 1
        if isinstance(config, ResNetConfig):
            if patch_size is None:
                raise ConfigError("a ResNet tower needs patch_size")
            self.config, self.patch_size = config, patch_size
            self.encoder = ResNetModel._from_config(config)
            return
        if isinstance(config, (SiglipVisionConfig, CLIPVisionConfig)):
            if isinstance(config, SiglipVisionConfig) and config.vision_use_head:
                raise ConfigError(
                    "SigLIP's pooling head has no use here", fix="set vision_config.vision_use_head false"
                )
            size = config.patch_size
            self.config, self.patch_size = config, int(size if isinstance(size, int) else cast(Sequence[int], size)[0])
            kind = SiglipVisionModel if isinstance(config, SiglipVisionConfig) else CLIPVisionModel
            self.encoder = kind._from_config(config)
            return
        if not config.use_mean_pooling:
            raise ConfigError("the vision encoder must not end in a norm", fix="set vision_config.use_mean_pooling")
        self.config = config
        self.patch_size = int(cast(Sequence[int], config.patch_size)[0])
        self.encoder = InternVLVisionModel._from_config(config)
        for name, norm in self.encoder.named_modules():
            if name.endswith((".q_norm", ".k_norm")) and hasattr(norm, "variance_epsilon"):
                norm.variance_epsilon = config.layer_norm_eps  # pyright: ignore[reportArgumentType]

    def forward(self, pixel_values_NCSS: Tensor) -> Tensor:
        """Normalised pixels [N, 3, S, S], S a multiple of the patch size -> [N, P, D] row by row, P = (S / patch)^2."""
        height, width = pixel_values_NCSS.shape[-2:] if pixel_values_NCSS.ndim == 4 else (0, 1)
        if height != width or height % self.patch_size:
            raise MediaError(
                "tiles must be square and divide into patches",
                got=tuple(pixel_values_NCSS.shape),
                expected=f"[N, 3, S, S] with S a multiple of {self.patch_size}",
            )
        hidden = self.encoder(pixel_values_NCSS).last_hidden_state
        return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden[:, self.num_leading_tokens :]
