"""Pairs of an image and an expression with a known answer, and how well a network answers them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from aerial import NEVER, Scene, normalise, target, tensor
from augment import IGNORE
from expressions import LABELS, TextFeatures
from precision import halves
from relations import ABSENCE_UNCERTAIN
from rrsis_twin import Rrsis
from triplets import TripletScene, load_triplets


@dataclass
class Pair:
    scene: Scene
    concept: str
    expression: str
    mask: np.ndarray  # 0 / 1 / 255, the scene's own size


def absent_pairs(scenes: list[Scene], limit: int) -> list[Pair]:
    """Targets that are certainly absent: labelled classes without a pixel, and what a source never shows; evenly spaced."""
    pairs = []
    for s in scenes:
        unsure = ABSENCE_UNCERTAIN.get(s.source, ())
        known = [c for c in s.concepts if c not in unsure and not np.isin(np.asarray(s.label), LABELS[c]).any()]
        pairs += [Pair(s, c, c, target(np.asarray(s.label), c)) for c in known + NEVER.get(s.source, [])[:1]]
    return [pairs[round(i * (len(pairs) - 1) / (limit - 1))] for i in range(limit)]


def validation_pairs(scenes: list[Scene], concepts: list[str], per_concept: int | None = None) -> list[Pair]:
    """Present targets of each concept; `per_concept` takes a fixed, evenly spaced subset."""
    pairs = []
    for concept in concepts:
        having = [s for s in scenes if concept in s.points]
        if per_concept and len(having) > per_concept:
            having = [having[round(i * (len(having) - 1) / (per_concept - 1))] for i in range(per_concept)]
        pairs += [Pair(s, concept, concept, target(np.asarray(s.label), concept)) for s in having]
    return pairs


def triplet_pairs(scenes: list[TripletScene], limit: int) -> tuple[list[Pair], list[Pair]]:
    """Present and absent targets, `limit` of them and a third as many; evenly spaced. The concept is the kind."""
    pairs = [Pair(s, t.kind, t.expression, np.asarray(t.target())) for s in scenes for t in s.triplets]

    def spread(of: list[Pair], count: int) -> list[Pair]:
        return [of[round(i * (len(of) - 1) / (count - 1))] for i in range(count)] if len(of) > count else of

    present = [p for p in pairs if (p.mask == 1).any()]
    return spread(present, limit), spread([p for p in pairs if not (p.mask == 1).any()], limit // 3)


def iou(predicted: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """Intersection and union over pixels that are not ignored."""
    known = mask != IGNORE
    p, t = predicted.astype(bool) & known, mask == 1
    return int((p & t).sum()), int((p | t).sum())


def labelled_pairs(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """Present and absent targets of a folder in the RefSegRS layout; the concept is "pairs"."""
    pairs = []
    for line in next(folder.glob("output_phrase_*.txt")).read_text().splitlines():
        name, expression = line.split(" ", 1)
        image = Image.open(next((folder / "images").glob(f"{name}.*"))).convert("RGB")
        mask = (np.asarray(Image.open(next((folder / "masks").glob(f"{name}.*"))).convert("L")) > 0).astype(np.uint8)
        pairs.append(Pair(SimpleNamespace(image=image), "pairs", expression, mask))
    return [p for p in pairs if p.mask.any()], [p for p in pairs if not p.mask.any()]


def held_out(folders: list[Path], limit: int, labelled: Path | None) -> tuple[list[Pair], list[Pair]]:
    """Present and absent targets that a run is looked at with: of the first folder with a val split, and of a hand-labelled one."""
    pairs, absent = [], []
    for folder in folders:
        if (folder / "output_phrase_val.txt").exists():
            pairs, absent = triplet_pairs(load_triplets(folder, "val"), limit)
            break
    if labelled:
        more, nothing = labelled_pairs(labelled)
        pairs, absent = pairs + more, absent + nothing
    return pairs, absent


@torch.no_grad()
def predict(net: Rrsis, text: TextFeatures, images: list[Image.Image], expressions: list[str], device: str) -> list[np.ndarray]:
    """As in the product: resized to the square, logits back to the image's size, tie = background; one expression an image."""
    n = net.config.image_size
    squares = torch.stack([tensor(i if i.size == (n, n) else i.resize((n, n), Image.BILINEAR)) for i in images])
    lang, mask = text(expressions)
    with halves(device):
        logits = net.model(normalise(squares.to(device)), lang, mask).float()
    whole = (F.interpolate(l[None], size=i.size[::-1], mode="bilinear", align_corners=False)[0] for l, i in zip(logits, images, strict=True))
    return [(l[1] > l[0]).cpu().numpy() for l in whole]


def validate(net: Rrsis, text: TextFeatures, pairs: list[Pair], absent: list[Pair], device: str, together: int = 1) -> dict[str, float]:
    """Mean IoU a class and over all samples, and the share of absent targets left empty (under 0.1 % of the pixels)."""
    net.eval()
    asked = pairs + absent
    found: list[np.ndarray] = []
    for at in range(0, len(asked), together):
        part = asked[at:at + together]
        found += predict(net, text, [p.scene.image for p in part], [p.expression for p in part], device)
    scores: dict[str, list[float]] = {}
    for pair, predicted in zip(pairs, found):
        inter, union = iou(predicted, pair.mask)
        scores.setdefault(pair.concept, []).append(inter / union if union else 0.0)
    empty = [predicted.mean() < 0.001 for predicted in found[len(pairs):]]
    return {k: float(np.mean(v)) for k, v in scores.items()} | {"mean": float(np.mean(sum(scores.values(), []))), "empty": float(np.mean(empty))}
