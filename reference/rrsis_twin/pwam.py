"""Pixel-word attention and language gate (the LAVT baseline of section III-B), on tokens (B, HW, C)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PointwiseConv(nn.Module):
    """A Conv1d of kernel 1 with channels last: weight (out, in, 1)."""

    def __init__(self, d_in: int, d_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in, 1))
        self.bias = nn.Parameter(torch.empty(d_out))
        bound = 1 / math.sqrt(d_in)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, :, 0], self.bias)


class TokenInstanceNorm(nn.Module):
    """InstanceNorm without affine over the positions of (B, HW, C), in fp32 or better; also at evaluation."""

    def forward(self, x: Tensor, eps: float = 1e-5) -> Tensor:
        y = x if x.dtype == torch.float64 else x.float()
        var, mean = torch.var_mean(y, dim=1, keepdim=True, correction=0)
        return ((y - mean) * torch.rsqrt(var + eps)).to(x.dtype)


class ImageLanguageAttention(nn.Module):
    def __init__(self, dim: int, lang_dim: int):
        super().__init__()
        self.f_key = nn.Sequential(PointwiseConv(lang_dim, dim))
        self.f_query = nn.Sequential(PointwiseConv(dim, dim), TokenInstanceNorm())
        self.f_value = nn.Sequential(PointwiseConv(lang_dim, dim))
        self.W = nn.Sequential(PointwiseConv(dim, dim), TokenInstanceNorm())

    def forward(self, x: Tensor, lang: Tensor, mask: Tensor) -> Tensor:
        """x (B, HW, C), lang (B, T, L), mask (B, T) -> the words each pixel attends to (B, HW, C)."""
        m = mask[:, :, None].to(lang.dtype)
        q, k, v = self.f_query(x), self.f_key(lang) * m, self.f_value(lang) * m
        scores = q @ k.transpose(1, 2) * x.shape[2] ** -0.5 + (1e4 * m.transpose(1, 2) - 1e4)
        return self.W(scores.softmax(-1).to(x.dtype) @ v.to(x.dtype))


class Pwam(nn.Module):
    """F = GELU(conv(GELU(conv x) * attention(x, lang)))."""

    def __init__(self, dim: int, lang_dim: int):
        super().__init__()
        self.vis_project = nn.Sequential(PointwiseConv(dim, dim), nn.GELU())
        self.image_lang_att = ImageLanguageAttention(dim, lang_dim)
        self.project_mm = nn.Sequential(PointwiseConv(dim, dim), nn.GELU())

    def forward(self, x: Tensor, lang: Tensor, mask: Tensor) -> Tensor:
        return self.project_mm(self.vis_project(x) * self.image_lang_att(x, lang, mask))


def language_gate(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim, bias=False), nn.ReLU(), nn.Linear(dim, dim, bias=False), nn.Tanh())
