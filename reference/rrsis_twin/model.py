"""The whole network and its checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bert import Bert
from .cnn import Cnn, CnnDecoder
from .config import RrsisConfig
from .decoder import Decoder, masked_mean, upsample
from .swin import Backbone


class Segmenter(nn.Module):
    """Everything but BERT: image and word features to two logits a pixel."""

    def __init__(self, c: RrsisConfig):
        super().__init__()
        self.backbone = Backbone(c)
        self.cnn = self.cnn_decoder = None
        if c.cnn is not None:
            self.cnn, self.cnn_decoder = Cnn(c.cnn), CnnDecoder(c.cnn, c.bert.hidden_size)
        self.classifier = Decoder(c)

    def decoded(self, maps: list[Tensor], image: Tensor, lang: Tensor, mask: Tensor) -> Tensor:
        """V_1..V_4 of Swin -> logits (R*B, 2, h, w) at a quarter of the image's size."""
        logits = self.classifier(maps, lang, mask)
        if self.cnn is None:
            return logits
        return logits + F.pad(self.cnn_decoder(self.cnn(image), masked_mean(lang, mask)), (0, 0, 0, 0, 1, 0))

    def low_resolution(self, image: Tensor, lang: Tensor, mask: Tensor) -> Tensor:
        return self.decoded(self.backbone(image, lang, mask), image, lang, mask)

    def low_resolution_and_encodings(self, image: Tensor, lang: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Also what the encoder's stages give, for training them on more than masks."""
        maps, encodings = self.backbone.maps_and_encodings(image, lang, mask)
        return self.decoded(maps, image, lang, mask), encodings

    def forward(self, image: Tensor, lang: Tensor, mask: Tensor) -> Tensor:
        """image (B, 3, H, W) normalised, lang (R*B, T, L), mask (R*B, T) -> logits (R*B, 2, H, W)."""
        return upsample(self.low_resolution(image, lang, mask).float(), image.shape[2:])


class Rrsis(nn.Module):
    """`model` and `bert_model`: state-dict keys equal the published names with these prefixes."""

    def __init__(self, c: RrsisConfig):
        super().__init__()
        self.config = c
        self.model = Segmenter(c)
        self.bert_model = Bert(c.bert)
        self.apply(_init)

    def forward(self, image: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model(image, self.bert_model(ids, mask), mask)

    def load_upstream(self, tensors: dict[str, Tensor]) -> list[str]:
        """Fill from published names; what the network does not use is skipped and returned."""
        missing, unused = self.load_state_dict(tensors, strict=False)
        if missing:
            raise KeyError(f"weights lack {len(missing)} tensors, first {missing[0]}")
        return unused

    def checkpoint(self, epoch: int, args: dict) -> dict:
        """The published layout; `args` carries the configuration and how it was trained."""
        return {
            "model": {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()},
            # Absent where training went on stored features of a frozen encoder.
            "bert_model": {k: v.detach().cpu().clone() for k, v in self.bert_model.state_dict().items()} if self.bert_model else {},
            "epoch": epoch,
            "args": {"config": self.config.to_dict()} | args,
        }

    @classmethod
    def from_checkpoint(cls, path: str | Path) -> Rrsis:
        ckpt = torch.load(path, map_location="cpu", weights_only=True)
        net = cls(RrsisConfig.from_dict(ckpt["args"]["config"]))
        net.load_upstream({f"{p}.{k}": v for p in ("model", "bert_model") for k, v in ckpt[p].items()})
        return net.eval()


def _init(m: nn.Module) -> None:
    if isinstance(m, nn.Linear):
        nn.init.trunc_normal_(m.weight, std=0.02)
        if m.bias is not None:
            nn.init.zeros_(m.bias)
    elif isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3):
        nn.init.kaiming_normal_(m.weight, mode="fan_in", nonlinearity="relu")
