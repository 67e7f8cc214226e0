"""Segmentation decoder with LGCE in front (sections III-C and IV)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import RrsisConfig
from .lgce import Lgce


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def masked_mean(lang: Tensor, mask: Tensor) -> Tensor:
    """The mean of the words that are there: lang (B, T, L), mask (B, T) -> (B, L)."""
    m = mask[:, :, None].to(lang.dtype)
    return (lang * m).sum(1) / m.sum(1)


class Decoder(nn.Module):
    def __init__(self, c: RrsisConfig):
        super().__init__()
        d1, d2, d3, d4 = c.dims
        hidden, lang = c.decoder_hidden, c.bert.hidden_size
        self.masked_mean = c.cross_scale != "upstream"
        for level, d_in in ((4, d4 + d3), (3, hidden + d2), (2, hidden + d1)):
            for n, channels in ((1, d_in), (2, hidden)):
                self.add_module(f"conv{n}_{level}", nn.Conv2d(channels, hidden, 3, padding=1, bias=False))
                self.add_module(f"bn{n}_{level}", nn.BatchNorm2d(hidden))
        self.conv1_1 = nn.Conv2d(hidden, 2, 1)
        self.msb1 = None
        if c.lgce is not None:
            self.msb1, self.guided = Lgce(c), c.lgce.language_guidance
            if self.guided:
                self.lg_layer3, self.lg_layer4 = nn.Linear(lang, d3), nn.Linear(lang, d4)
            else:
                self.token3, self.token4 = (nn.Parameter(0.02 * torch.randn(d)) for d in (d3, d4))

    def language_tokens(self, lang: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What guides LGCE: lang (B, T, L), mask (B, T) -> (B, C_3), (B, C_4)."""
        if not self.guided:
            return tuple(t.expand(len(lang), -1) for t in (self.token3, self.token4))
        mean = masked_mean(lang, mask) if self.masked_mean else lang.mean(1)
        return self.lg_layer3(mean), self.lg_layer4(mean)

    def level(self, x: Tensor, skip: Tensor, level: int) -> Tensor:
        x = torch.cat([upsample(x, skip.shape[2:]), skip], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        for n in (1, 2):
            x = F.relu(getattr(self, f"bn{n}_{level}")(getattr(self, f"conv{n}_{level}")(x)))
        return x

    def forward(self, maps: list[Tensor], lang: Tensor, mask: Tensor) -> Tensor:
        """V_1..V_4, lang (B, T, L), mask (B, T) -> logits (B, 2, H / 4, W / 4)."""
        v1, v2, v3, v4 = maps
        if self.msb1 is not None:
            token3, token4 = self.language_tokens(lang, mask)
            v3, v4 = self.msb1(v3, v4, token3.to(v3.dtype), token4.to(v4.dtype))
        x = self.level(v4, v3, 4)
        x = self.level(x, v2, 3)
        x = self.level(x, v1, 2)
        return self.conv1_1(x)
