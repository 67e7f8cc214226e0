"""A convolutional encoder with a small decoder of its own, whose opinion is added to the network's. Not in the paper: `RrsisConfig.cnn` asks for it.

EfficientNet-Lite0 (Apache-2.0) has seen ImageNet, which no Swin of this size has; its batch norms are folded into the convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import CnnConfig


class SameConv(nn.Conv2d):
    """A convolution with bias whose output is 1 / stride of its input, rounded up; what padding is odd goes to the right and bottom."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride)):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


class InvertedResidual(nn.Module):
    """1x1 up, depthwise, 1x1 down; around it the identity where the shape stays."""

    def __init__(self, d_in: int, d_out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = d_in * expansion
        self.expand = SameConv(d_in, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, d_out, 1)
        self.residual = stride == 1 and d_in == d_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Cnn(nn.Module):
    def __init__(self, c: CnnConfig):
        super().__init__()
        self.stem = SameConv(3, c.stem, 3, 2)
        blocks, d_in = [], c.stem
        for s in c.stages:
            for i in range(s.repeats):
                blocks.append(InvertedResidual(d_in, s.channels, s.kernel, s.stride if i == 0 else 1, s.expansion))
                d_in = s.channels
        self.blocks = nn.ModuleList(blocks)
        self.ends = c.ends()

    def forward(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W) -> maps of strides 4, 8 and on."""
        x = F.relu6(self.stem(image))
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.ends:
                maps.append(x)
        return maps

    def load_efficientnet(self, tensors: dict[str, Tensor]) -> None:
        """From the published names (`_conv_stem`, `_bn0`, `_blocks.N._expand_conv` ...)."""
        def fold(to: SameConv, conv: str, norm: str) -> None:
            scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + 1e-3).sqrt()
            to.weight.copy_(tensors[f"{conv}.weight"] * scale[:, None, None, None])
            to.bias.copy_(tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale)

        with torch.no_grad():
            fold(self.stem, "_conv_stem", "_bn0")
            for i, block in enumerate(self.blocks):
                if block.expand is not None:
                    fold(block.expand, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
                fold(block.depthwise, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
                fold(block.project, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")


class CnnGate(nn.Module):
    """GELU(W_visual LN(X)) * W_language(mean of the words): which of the CNN's features count is the expression's to say, for every role anew."""

    def __init__(self, d_in: int, width: int, lang: int, roles: int):
        super().__init__()
        self.roles = roles
        self.norm = nn.LayerNorm(d_in)
        self.visual = nn.Linear(d_in, width)
        self.language = nn.Linear(lang, roles * width)

    def see(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, width, h, w), the same for every expression."""
        return F.gelu(self.visual(self.norm(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)

    def forward(self, seen: Tensor, sentence: Tensor) -> list[Tensor]:
        """seen (B, width, h, w), sentence (R*B, L) -> (R*B, width, h, w) for each role."""
        # Products with every expression of an image keep the channels last; copies of `seen` would not.
        asked = self.language(sentence).view(len(seen), -1, self.roles, seen.shape[1], 1, 1)
        return [(seen[:, None] * asked[:, :, role]).flatten(0, 1) for role in range(self.roles)]


class CnnDecoder(nn.Module):
    """What the expression lets through of the maps, from coarse to fine, to a term for the logit of the foreground.

    What is meant and what it is near lie beside each other before every convolution: only so can it be asked for the one where the other is
    not far ("building along the road").
    """

    def __init__(self, c: CnnConfig, lang: int):
        super().__init__()
        self.gates = nn.ModuleList(CnnGate(channels, c.width, lang, 2 if i else 1) for i, channels in enumerate(c.ends().values()))
        self.convs = nn.ModuleList(nn.Conv2d(2 * c.width, c.width, 3, padding=1) for _ in self.gates[1:])
        self.out = nn.Conv2d(c.width, 1, 1)

    def forward(self, maps: list[Tensor], sentence: Tensor) -> Tensor:
        """maps of strides 4, 8 and on, sentence (R*B, L) -> (R*B, 1, H / 4, W / 4)."""
        asked = [gate(gate.see(x), sentence) for gate, x in zip(self.gates, maps, strict=True)]
        x, *near = asked.pop()
        for conv in self.convs:
            x = F.relu(conv(torch.cat([x, *near], 1).contiguous(memory_format=torch.channels_last)))
            finer, *near = asked.pop()
            x = finer + F.interpolate(x, finer.shape[2:], mode="bilinear", align_corners=True)
        return self.out(F.relu(x))
