"""Sizes of the network, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class BertConfig:
    vocab_size: int = 30522
    hidden_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    max_position_embeddings: int = 512
    layer_norm_eps: float = 1e-12


@dataclass
class LgceConfig:
    """Index 0 is the high-resolution scale (stage 3), index 1 the low-resolution one (stage 4)."""

    depths: list[int] = field(default_factory=lambda: [1, 3])
    heads: list[int] = field(default_factory=lambda: [8, 16])
    mlp_ratio: float = 2.0
    #: False: a learned token instead of the sentence (the ablation without language guidance)
    language_guidance: bool = True


@dataclass
class CnnStage:
    """Inverted residual blocks, the first of which may halve the size."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass
class CnnConfig:
    """EfficientNet-Lite0 but for its last stage."""

    stem: int = 32
    stages: list[CnnStage] = field(default_factory=lambda: [CnnStage(1, 3, 1, 1, 16), CnnStage(2, 3, 2, 6, 24), CnnStage(2, 5, 2, 6, 40),
                                                           CnnStage(3, 3, 2, 6, 80), CnnStage(3, 5, 1, 6, 112), CnnStage(3, 5, 2, 6, 192)])
    #: channels in which words choose among its features
    width: int = 64

    def ends(self) -> dict[int, int]:
        """Block -> its channels, for the last block of each stride from 4 on."""
        ends, stride, block = {}, 2, -1
        for s in self.stages:
            stride, block = stride * s.stride, block + s.repeats
            ends[stride] = (block, s.channels)
        return {block: channels for stride, (block, channels) in ends.items() if stride >= 4}


@dataclass
class RrsisConfig:
    embed_dim: int = 48
    depths: list[int] = field(default_factory=lambda: [2, 2, 6, 2])
    num_heads: list[int] = field(default_factory=lambda: [2, 4, 8, 16])
    window: int = 8
    mlp_ratio: float = 4.0
    bert: BertConfig = field(default_factory=BertConfig)
    #: None: the LAVT baseline
    lgce: LgceConfig | None = field(default_factory=LgceConfig)
    #: a convolutional encoder beside Swin (not in the paper)
    cnn: CnnConfig | None = None
    decoder_hidden: int = 64
    #: "paper" (Eq. 4-5), "upstream" (what the public code computes) or "none" (the ablation)
    cross_scale: str = "paper"
    max_tokens: int = 20
    image_size: int = 512

    @property
    def dims(self) -> list[int]:
        """Channels of the four stages."""
        return [self.embed_dim << i for i in range(len(self.depths))]

    @classmethod
    def from_dict(cls, d: dict) -> RrsisConfig:
        lgce, cnn = d.get("lgce", {}), d.get("cnn")
        return cls(**(d | {"bert": BertConfig(**d.get("bert", {})), "lgce": None if lgce is None else LgceConfig(**lgce),
                           "cnn": None if cnn is None else CnnConfig(**(cnn | {"stages": [CnnStage(**s) for s in cnn["stages"]]}))}))

    @classmethod
    def load(cls, path: str | Path) -> RrsisConfig:
        return cls.from_dict(json.loads(Path(path).read_text()))

    def to_dict(self) -> dict:
        return asdict(self)
