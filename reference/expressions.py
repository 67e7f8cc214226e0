"""Category expressions as people type them, and their frozen text features."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor
from tokenizers import Tokenizer

from rrsis_twin.bert import Bert

#: concept -> label indices of the aerial collection (see `classes.json`)
LABELS: dict[str, tuple[int, ...]] = {
    "building": (1,), "car": (2,), "van": (3,), "truck": (4,), "bus": (5,), "vehicle": (2, 3, 4, 5, 6),
    "road": (9,), "vegetation": (11,), "water": (12,), "bare land": (13,),
}
#: concept -> wordings; the first is the canonical one, which is drawn most often
WORDS: dict[str, list[str]] = {
    "building": ["building", "buildings", "house", "houses", "roof", "roofs", "rooftop", "rooftops", "homes", "built structures"],
    "car": ["car", "cars", "automobile", "automobiles", "passenger car", "sedan", "parked cars"],
    "van": ["van", "vans", "minibus", "minivan"],
    "truck": ["truck", "trucks", "lorry"],
    "bus": ["bus", "buses", "coach", "tram"],
    "vehicle": ["vehicle", "vehicles", "motor vehicles", "cars and buses"],
    "road": ["road", "roads", "street", "streets", "roadway", "highway", "paved road", "lane"],
    "vegetation": ["vegetation", "greenery", "trees and grass", "plants", "green areas", "green space", "trees and bushes"],
    "water": ["water", "water body", "lake", "river", "sea", "pond", "ocean", "body of water"],
    "bare land": ["bare land", "bare soil", "unpaved land", "bare ground", "dirt", "sand", "desert"],
    "airplane": ["airplane", "airplanes", "plane", "aircraft"],
    "ship": ["ship", "ships", "boat", "boats", "vessel"],
    "storage tank": ["storage tank", "storage tanks", "oil tank"],
    "stadium": ["stadium", "football stadium"],
    "runway": ["runway", "airport runway"],
}
PREFIXES = ["the ", "all the ", "all ", "every "]


def draw(concept: str, rng: random.Random) -> str:
    """A wording of the concept: canonical 55 % of the time, sometimes with an article."""
    words = WORDS[concept]
    word = words[0] if rng.random() < 0.55 else rng.choice(words[1:])
    return (rng.choice(PREFIXES) if rng.random() < 0.12 else "") + word


def all_expressions() -> list[str]:
    return [p + w for words in WORDS.values() for w in words for p in ["", *PREFIXES]]


class TextFeatures:
    """Last hidden states of a frozen BERT, computed once an expression and kept in memory."""

    def __init__(self, bert: Bert, tokenizer: str | Path, max_tokens: int, device: str = "cpu"):
        self.bert = bert.eval()
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding(length=max_tokens)
        self.device = device
        self.known: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def add(self, expressions: list[str]) -> None:
        encoded = self.tokenizer.encode_batch(expressions)
        ids, mask = (torch.tensor([getattr(e, a) for e in encoded]) for a in ("ids", "attention_mask"))
        hidden = torch.cat([self.bert(i, m) for i, m in zip(ids.split(64), mask.split(64), strict=True)])
        for e, h, m in zip(expressions, hidden.to(self.device), mask.to(self.device), strict=True):
            self.known[e] = (h, m)

    def __call__(self, expressions: list[str]) -> tuple[Tensor, Tensor]:
        """-> features (N, T, hidden), mask (N, T)."""
        self.add(missing) if (missing := [e for e in dict.fromkeys(expressions) if e not in self.known]) else None
        hidden, mask = zip(*(self.known[e] for e in expressions), strict=True)
        return torch.stack(hidden), torch.stack(mask)
