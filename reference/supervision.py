"""What the encoder is asked for beside the masks, while training.

The gradient of the masks reaches the encoder through attention over words whose maps are normalised over the image; from random
weights it is mostly noise, under which the residual streams of stages 3 and 4 grow until nothing of the image is left in them
(docs/training-log.md, run 7). So stages 2 to 4 also answer, through linear maps that are thrown away afterwards, where each concept is
(`ConceptHeads`) and what a CNN sees (teacher.py), and the masks' gradient reaches them attenuated (`Backbone.mask_gradient`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from augment import IGNORE
from expressions import WORDS, wordings

#: wording -> the number of its concept; the first concept that has it
CONCEPTS: dict[str, int] = {}
for _number, _concept in enumerate(WORDS):
    for _wording in wordings(_concept):
        CONCEPTS.setdefault(_wording, _number)


def concepts(expressions: list[str]) -> Tensor:
    """The number of the concept that each expression names, -1 for those that say more."""
    return torch.tensor([CONCEPTS.get(e, -1) for e in expressions])


class ConceptHeads(nn.Module):
    """A linear classifier of every concept at every position of stages 2 to 4, without language."""

    def __init__(self, dims: list[int]):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(d, len(WORDS)) for d in dims[1:])

    def forward(self, encodings: list[Tensor], asked: Tensor, targets: Tensor) -> Tensor:
        """encodings of stages 1..4, (B, C_i, H_i, W_i); asked (B,) of `concepts`; targets (B, H, W) of 0 / 1 / 255."""
        known = ((targets != IGNORE) & (asked >= 0)[:, None, None]).float()[:, None]
        there = (targets == 1).float()[:, None] * known
        of = asked.clamp(min=0)
        losses = []
        for head, x in zip(self.heads, encodings[1:], strict=True):
            weight = F.adaptive_avg_pool2d(known, x.shape[2:])
            share = F.adaptive_avg_pool2d(there, x.shape[2:]) / weight.clamp(min=1e-6)
            x = F.layer_norm(x.float().permute(0, 2, 3, 1), x.shape[1:2])
            logits = torch.einsum("bhwc,bc->bhw", x, head.weight[of]) + head.bias[of][:, None, None]
            loss = F.binary_cross_entropy_with_logits(logits[:, None], share, reduction="none") * weight
            losses.append(loss.sum() / weight.sum().clamp(min=1))
        return sum(losses) / len(losses)
