"""Language-guided cross-scale enhancement (section IV)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import RrsisConfig
from .swin import Mlp


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, C) -> (B, heads, N, C / heads)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention over heads-first tensors -> (B, N, C)."""
    weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(*(split_heads(t, self.heads) for t in self.qkv(x).chunk(3, -1))))


class Block(nn.Module):
    """A pre-norm transformer block of TL_h or TL_l."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class CrossAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        q, k, v = (split_heads(t, self.heads) for t in (self.wq(queries), self.wk(x), self.wv(x)))
        return self.proj(attend(q, k, v))


class CrossAttentionBlock(nn.Module):
    """Eq. (4)-(5): every token is a query. `first_only`: the public code, where the language token alone is one."""

    def __init__(self, dim: int, heads: int, first_only: bool):
        super().__init__()
        self.first_only = first_only
        self.norm1 = nn.LayerNorm(dim)
        self.attn = CrossAttention(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        if self.first_only:
            return x[:, :1] + self.attn(y[:, :1], y)
        return x + self.attn(y, y)


def token_projection(d_in: int, d_out: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(d_in), nn.GELU(), nn.Linear(d_in, d_out))


class CrossScale(nn.Module):
    """Transformer layers TL_h, TL_l and the exchange of language tokens between the two scales.

    Tokens are [language || visual], (B, 1 + H_3 W_3, C_3) and (B, 1 + H_4 W_4, C_4); same shapes out.
    """

    def __init__(self, c: RrsisConfig):
        super().__init__()
        h, l = c.dims[2], c.dims[3]
        heads_h, heads_l = c.lgce.heads
        self.paper = c.cross_scale == "paper"
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(dim, heads, c.lgce.mlp_ratio) for _ in range(depth)))
            for dim, heads, depth in zip((h, l), c.lgce.heads, c.lgce.depths, strict=True)
        )
        self.fusion = None
        if c.cross_scale == "none":
            return
        self.projs = nn.ModuleList([token_projection(h, l), token_projection(l, h)])
        self.fusion = nn.ModuleList(
            nn.Sequential(CrossAttentionBlock(dim, heads, not self.paper)) for dim, heads in ((l, heads_l), (h, heads_h))
        )
        if not self.paper:
            self.revert_projs = nn.ModuleList([token_projection(l, h), token_projection(h, l)])

    def forward(self, x_h: Tensor, x_l: Tensor) -> tuple[Tensor, Tensor]:
        x_h, x_l = self.blocks[0](x_h), self.blocks[1](x_l)
        if self.fusion is None:
            return x_h, x_l
        to_l = self.fusion[0](torch.cat([self.projs[0](x_h[:, :1]), x_l[:, 1:]], 1))
        to_h = self.fusion[1](torch.cat([self.projs[1](x_l[:, :1]), x_h[:, 1:]], 1))
        if self.paper:
            return to_h, to_l
        # The public code: the exchanged tokens go home, the visual tokens are those of TL_h and TL_l.
        x_h = torch.cat([self.revert_projs[0](to_l), x_h[:, 1:]], 1)
        x_l = torch.cat([self.revert_projs[1](to_h), x_l[:, 1:]], 1)
        return x_h, x_l


class Lgce(nn.Module):
    """Holds `CrossScale` as `msb`, the name it has upstream."""

    def __init__(self, c: RrsisConfig):
        super().__init__()
        self.msb = CrossScale(c)

    def forward(self, v3: Tensor, v4: Tensor, lang3: Tensor, lang4: Tensor) -> tuple[Tensor, Tensor]:
        """v3, v4 (B, C, H, W); lang3, lang4 (B, C): the language tokens -> enhanced v3, v4."""
        x_h, x_l = (torch.cat([t[:, None], v.flatten(2).transpose(1, 2)], 1) for v, t in ((v3, lang3), (v4, lang4)))
        x_h, x_l = self.msb(x_h, x_l)
        return tuple(x[:, 1:].transpose(1, 2).unflatten(2, v.shape[2:]) for x, v in ((x_h, v3), (x_l, v4)))
