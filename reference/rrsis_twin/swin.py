"""Swin encoder whose stages fuse language (section III-B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import RrsisConfig
from .pwam import Pwam, language_gate


class Mlp(nn.Module):
    def __init__(self, dim: int, ratio: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, int(dim * ratio))
        self.fc2 = nn.Linear(int(dim * ratio), dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def relative_position_index(window: int) -> Tensor:
    """(w*w, w*w) rows of the (2w-1)^2 bias table."""
    at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    d = at[:, :, None] - at[:, None, :] + window - 1
    return d[0] * (2 * window - 1) + d[1]


def to_windows(x: Tensor, w: int) -> Tensor:
    """(B, H, W, C) -> (B * nW, w * w, C)."""
    b, h, width, c = x.shape
    return x.view(b, h // w, w, width // w, w, c).transpose(2, 3).reshape(-1, w * w, c)


def from_windows(x: Tensor, w: int, h: int, width: int) -> Tensor:
    """Inverse of `to_windows`."""
    c = x.shape[-1]
    return x.view(-1, h // w, width // w, w, w, c).transpose(2, 3).reshape(-1, h, width, c)


def shift_mask(h: int, width: int, w: int, shift: int, device: torch.device) -> Tensor:
    """(nW, w*w, w*w): -100 between positions that the cyclic shift brought together."""
    def region(n: int) -> Tensor:
        i = torch.arange(n, device=device)
        return (i >= n - w).long() + (i >= n - shift).long()

    ids = to_windows((region(h)[:, None] * 3 + region(width)[None, :])[None, :, :, None].float(), w)[:, :, 0]
    return (ids[:, :, None] != ids[:, None, :]).float() * -100.0


class WindowAttention(nn.Module):
    def __init__(self, dim: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (B * nW, N, C); mask (nW, N, N) or None."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1).permute(2, 0, 1)
        scores = (q * (c // self.heads) ** -0.5) @ k.transpose(2, 3)
        bias = bias[None] if mask is None else bias[None] + mask[:, None]
        scores = scores.view(-1, bias.shape[0], self.heads, n, n) + bias.to(scores.dtype)
        weights = scores.softmax(-1).view(b, self.heads, n, n)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Stochastic depth: leaves a branch out of some samples of (B, HW, C), and scales the others up."""
    keep = torch.rand(x.shape[0], 1, 1, device=x.device, dtype=x.dtype) >= rate
    return x * keep / (1 - rate)


class SwinBlock(nn.Module):
    def __init__(self, dim: int, heads: int, window: int, shift: int, mlp_ratio: float):
        super().__init__()
        self.window, self.shift = window, shift
        #: how often each branch is left out while training
        self.drop_path = 0.0
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mlp_ratio)

    def forward(self, x: Tensor, h: int, width: int, mask: Tensor) -> Tensor:
        """x (B, HW, C). The map is padded with zeros after norm1; padded keys take part."""
        b, _, c = x.shape
        w, s = self.window, self.shift
        y = self.norm1(x).view(b, h, width, c)
        y = F.pad(y, (0, 0, 0, -width % w, 0, -h % w))
        hp, wp = y.shape[1:3]
        if s:
            y = y.roll((-s, -s), (1, 2))
        y = from_windows(self.attn(to_windows(y, w), mask if s else None), w, hp, wp)
        if s:
            y = y.roll((s, s), (1, 2))
        y = y[:, :h, :width].reshape(b, h * width, c)
        drops = self.training and self.drop_path > 0
        x = x + (drop_path(y, self.drop_path) if drops else y)
        y = self.mlp(self.norm2(x))
        return x + (drop_path(y, self.drop_path) if drops else y)


class PatchMerging(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor, h: int, width: int) -> Tensor:
        x = F.pad(x.view(x.shape[0], h, width, -1), (0, 0, 0, width % 2, 0, h % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction(self.norm(x.flatten(1, 2)))


class Stage(nn.Module):
    """Swin blocks, then PWAM, gate and patch merging; the last stage has neither gate nor merging."""

    def __init__(self, c: RrsisConfig, i: int):
        super().__init__()
        dim, last = c.dims[i], i == len(c.depths) - 1
        self.window = c.window
        self.blocks = nn.ModuleList(
            SwinBlock(dim, c.num_heads[i], c.window, c.window // 2 * (j % 2), c.mlp_ratio) for j in range(c.depths[i])
        )
        self.fusion = Pwam(dim, c.bert.hidden_size)
        self.res_gate = None if last else language_gate(dim)
        self.downsample = None if last else PatchMerging(dim)

    def encode(self, x: Tensor, h: int, width: int) -> Tensor:
        w = self.window
        mask = shift_mask(h + -h % w, width + -width % w, w, w // 2, x.device)
        for block in self.blocks:
            x = block(x, h, width, mask)
        return x


class PatchEmbed(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, 4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> tuple[Tensor, int, int]:
        image = F.pad(image, (0, -image.shape[3] % 4, 0, -image.shape[2] % 4))
        x = self.proj(image)
        h, w = x.shape[2:]
        return self.norm(x.flatten(2).transpose(1, 2)), h, w


class Backbone(nn.Module):
    def __init__(self, c: RrsisConfig):
        super().__init__()
        self.patch_embed = PatchEmbed(c.embed_dim)
        #: training only: what is left of the gradient that comes back into a stage's blocks through fusion and merging
        self.mask_gradient = 1.0
        self.layers = nn.ModuleList(Stage(c, i) for i in range(len(c.depths)))
        for i, dim in enumerate(c.dims):
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    def forward(self, image: Tensor, lang: Tensor, mask: Tensor) -> list[Tensor]:
        """image (B, 3, H, W), lang (R*B, T, L), mask (R*B, T) -> V_1..V_4, (R*B, C_i, H_i, W_i).

        With R > 1 expressions an image (image-major), the blocks of stage 1, which see no language, run once an image.
        """
        return self.maps_and_encodings(image, lang, mask)[0]

    def encodings(self, image: Tensor) -> list[Tensor]:
        """What the blocks of each stage give of the image alone, as if there were no language."""
        x, h, w = self.patch_embed(image)
        found = []
        for stage in self.layers:
            x = stage.encode(x, h, w)
            found.append(x.transpose(1, 2).unflatten(2, (h, w)))
            if stage.downsample is not None:
                x = stage.downsample(x, h, w)
                h, w = (h + 1) // 2, (w + 1) // 2
        return found

    def maps_and_encodings(self, image: Tensor, lang: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Also what the blocks of each stage give before its own fusion, of the same shapes (stage 1: B instead of R*B)."""
        x, h, w = self.patch_embed(image)
        maps, encodings = [], []
        for i, stage in enumerate(self.layers):
            x = stage.encode(x, h, w)
            encodings.append(x.transpose(1, 2).unflatten(2, (h, w)))
            if self.training and self.mask_gradient < 1:
                x = self.mask_gradient * x + (1 - self.mask_gradient) * x.detach()
            if i == 0 and lang.shape[0] != x.shape[0]:
                x = x.repeat_interleave(lang.shape[0] // x.shape[0], 0)
            v, x, h, w = self.fuse(i, x, h, w, lang, mask)
            maps.append(v)
        return maps, encodings

    def fuse(self, i: int, x: Tensor, h: int, w: int, lang: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, int, int]:
        """PWAM, gate and merging of stage `i` -> V_i and what enters the next stage."""
        stage = self.layers[i]
        fused = stage.fusion(x, lang, mask)
        v = getattr(self, f"norm{i}")(fused).transpose(1, 2).unflatten(2, (h, w))
        if stage.downsample is None:
            return v, x, h, w
        return v, stage.downsample(x + stage.res_gate(fused) * fused, h, w), (h + 1) // 2, (w + 1) // 2
