"""Aerial scenes with label maps: crops, augmentation and category expressions for training; pairs for validation.

Expects `{train,val}/<source>/<scene>.{jpg,png,json}`; the JSON's `annotated` lists the classes labelled throughout.
"""

from __future__ import annotations

import io
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from expressions import LABELS, draw

IGNORE = 255
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
#: how often a concept is the subject of a crop
SUBJECTS = {"building": 0.23, "vegetation": 0.15, "water": 0.14, "road": 0.19, "car": 0.18, "vehicle": 0.04,
            "bare land": 0.04, "bus": 0.02, "van": 0.01}
#: (mean, low, high) of the logarithm of a crop's scale over that of whole-image inference: drone vehicles also smaller,
#: satellite roads also larger, as they are in images of other sensors
SCALE = {"kitais": (-0.2, -0.9, 0.5), "dubai": (0.1, -0.6, 1.1)}
#: concepts that are certainly absent from every scene of a source
NEVER = {
    "urbantree": ["airplane", "stadium", "storage tank", "runway"],
    "fair_models": ["airplane", "ship", "storage tank", "runway", "stadium"],
    "fair_hist": ["airplane", "storage tank", "runway", "stadium"],
    "kitais": ["airplane", "ship", "storage tank", "runway", "water", "bare land"],
    "dubai": [],
}


@dataclass
class Scene:
    name: str
    source: str
    image: Image.Image
    label: Image.Image
    annotated: list[str]
    points: dict[str, np.ndarray]  # concept -> some (x, y) inside it
    pixels: dict[str, int]

    @property
    def concepts(self) -> list[str]:
        """Concepts whose every pixel is labelled here."""
        out = [c for c in self.annotated if c in LABELS]
        return out + ["vehicle"] if "car" in out else out


def load_scene(path: Path, rng: np.random.Generator) -> Scene:
    image = Image.open(path).convert("RGB")
    label = Image.open(path.with_suffix(".png"))
    image.load(), label.load()
    scene = Scene(path.stem, path.parent.name, image, label, json.loads(path.with_suffix(".json").read_text())["annotated"], {}, {})
    array = np.asarray(label)
    for concept in scene.concepts:
        y, x = np.nonzero(np.isin(array, LABELS[concept]))
        if len(y) >= 30:
            pick = rng.choice(len(y), min(200, len(y)), replace=False)
            scene.points[concept] = np.stack([x[pick], y[pick]], 1)
            scene.pixels[concept] = len(y)
    return scene


def load_split(root: Path, split: str, sources: list[str] | None = None) -> list[Scene]:
    rng = np.random.default_rng(0)
    return [load_scene(p, rng) for p in sorted((root / split).glob("*/*.jpg")) if not sources or p.parent.name in sources]


def normalise(image: Image.Image | np.ndarray) -> Tensor:
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    return (x - MEAN) / STD


def target(label: np.ndarray, concept: str) -> np.ndarray:
    """0 / 1 / 255 for a concept; concepts without a label index are absent everywhere."""
    out = np.isin(label, LABELS.get(concept, ())).astype(np.uint8)
    out[label == IGNORE] = IGNORE
    return out


def photometric(image: Image.Image, rng: random.Random) -> Image.Image:
    """Colour, contrast, haze, sharpness and compression: breaks the link between a camera and its classes."""
    if rng.random() < 0.25:
        n = image.size[0]
        m = int(n / rng.uniform(1.3, 2.6))
        image = image.resize((m, m), Image.BILINEAR).resize((n, n), Image.BILINEAR)
    elif rng.random() < 0.2:
        image = image.filter(ImageFilter.UnsharpMask(rng.uniform(0.7, 2), rng.randint(40, 130), 2))
    if rng.random() < 0.15:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(25, 80))
        image = Image.open(buffer)
    x = np.asarray(image, np.float32) / 255
    if rng.random() < 0.85:
        x = x ** rng.uniform(0.65, 1.5)
        mean = x.mean((0, 1))
        x = (x - mean) * rng.uniform(0.6, 1.4) + mean * rng.uniform(0.75, 1.25)
        grey = x.mean(2, keepdims=True)
        x = grey + (x - grey) * rng.uniform(0.4, 1.5)
        x = x * np.array([rng.uniform(0.87, 1.15) for _ in range(3)], np.float32)
        if rng.random() < 0.15:  # haze
            x = x + (rng.uniform(0.6, 0.9) - x) * rng.uniform(0.05, 0.3)
    if rng.random() < 0.2:
        noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(x.shape, np.float32)
        x = x + noise * rng.uniform(0.005, 0.04)
    return Image.fromarray((np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8))


class CropSampler:
    """Batches of crops, each with `per_image` expressions; deterministic from its `random.Random`."""

    def __init__(self, scenes: list[Scene], rng: random.Random, full_size: int, per_image: int = 2):
        self.rng, self.full_size, self.per_image = rng, full_size, per_image
        self.by_concept = {c: [s for s in scenes if c in s.points] for c in SUBJECTS}
        self.sources = {c: sorted({s.source for s in v}) for c, v in self.by_concept.items()}

    def scene(self, concept: str) -> Scene:
        """Sources take part by the square root of their number of scenes; pixel count tilts the choice within one."""
        groups = [[s for s in self.by_concept[concept] if s.source == name] for name in self.sources[concept]]
        group = self.rng.choices(groups, [math.sqrt(len(g)) for g in groups])[0]
        return self.rng.choices(group, [s.pixels[concept] ** 0.3 for s in group])[0]

    def box(self, scene: Scene, size: int, at: np.ndarray | None) -> tuple[int, int, int, int]:
        """A source window that becomes size x size: around the scale of whole-image inference, and far beyond."""
        rng = self.rng
        w, h = scene.image.size
        mean, low, high = SCALE.get(scene.source, (0.0, -0.9, 0.9))
        spread = rng.gauss(mean, 0.3) if rng.random() < 0.7 else rng.uniform(low, high)
        aspect = rng.gauss(0, 0.12)
        sides = []
        for n, sign in ((w, 0.5), (h, -0.5)):
            scale = min(3.0, max(0.35, self.full_size / n * math.exp(spread + sign * aspect)))
            sides.append(min(n, max(32, round(size / scale))))
        bw, bh = sides
        if at is None:
            x0, y0 = rng.randint(0, w - bw), rng.randint(0, h - bh)
        else:
            x0, y0 = (int(min(n - b, max(0, p - rng.random() * b))) for n, b, p in ((w, bw, at[0]), (h, bh, at[1])))
        return x0, y0, x0 + bw, y0 + bh

    def second(self, scene: Scene, label: np.ndarray, first: str) -> str:
        """Another class of the crop, one that is annotated but not in it, or one that is certainly absent."""
        rng = self.rng
        others = [c for c in scene.concepts if c != first]
        present = [c for c in others if np.isin(label, LABELS[c]).any()]
        absent = [c for c in others if c not in present]
        never = NEVER.get(scene.source, [])
        roll = rng.random()
        if present and roll < 0.6:
            return rng.choice(present)
        if absent and (not never or roll < 0.8):
            return rng.choice(absent)
        if never and roll > 0.5:
            return rng.choice(never)
        return rng.choice(present) if present else first

    def crop(self, size: int) -> tuple[Image.Image, list[str], list[np.ndarray]]:
        rng = self.rng
        concept = rng.choices(list(SUBJECTS), list(SUBJECTS.values()))[0]
        scene = self.scene(concept)
        box = self.box(scene, size, rng.choice(scene.points[concept]) if rng.random() < 0.9 else None)
        image = scene.image.resize((size, size), Image.BILINEAR, box=box)
        label = scene.label.resize((size, size), Image.NEAREST, box=box)
        for turn in (Image.FLIP_LEFT_RIGHT, Image.FLIP_TOP_BOTTOM, Image.TRANSPOSE):
            if rng.random() < 0.5:
                image, label = image.transpose(turn), label.transpose(turn)
        array = np.asarray(label)
        concepts = [concept] + [self.second(scene, array, concept) for _ in range(self.per_image - 1)]
        return photometric(image, rng), [draw(c, rng) for c in concepts], [target(array, c) for c in concepts]

    def batch(self, images: int, size: int) -> tuple[Tensor, list[str], Tensor]:
        """-> images (B, 3, S, S), B * per_image expressions (image-major) and their targets (B * per_image, S, S)."""
        crops = [self.crop(size) for _ in range(images)]
        pixels = torch.stack([normalise(c[0]) for c in crops])
        targets = torch.from_numpy(np.stack([t for c in crops for t in c[2]]))
        return pixels.contiguous(memory_format=torch.channels_last), [e for c in crops for e in c[1]], targets


@dataclass
class Pair:
    scene: Scene
    concept: str
    expression: str
    mask: np.ndarray  # 0 / 1 / 255, the scene's own size


def validation_pairs(scenes: list[Scene], concepts: list[str], per_concept: int | None = None) -> list[Pair]:
    """Present targets of each concept; `per_concept` takes a fixed, evenly spaced subset."""
    pairs = []
    for concept in concepts:
        having = [s for s in scenes if concept in s.points]
        if per_concept and len(having) > per_concept:
            having = [having[round(i * (len(having) - 1) / (per_concept - 1))] for i in range(per_concept)]
        pairs += [Pair(s, concept, concept, target(np.asarray(s.label), concept)) for s in having]
    return pairs


def iou(predicted: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """Intersection and union over pixels that are not ignored."""
    known = mask != IGNORE
    p, t = predicted.astype(bool) & known, mask == 1
    return int((p & t).sum()), int((p | t).sum())
