"""Triplets of image, expression and mask in the RefSegRS layout, as `rrsis dataset` writes them, for training.

Their expressions say more than a class: attributes and relations ("building along the road"), and things that are not there.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from augment import IGNORE
from expressions import WORDS, draw, framed

#: how often a kind is asked for first, where a scene has it: many relations stand on coarse outlines
KINDS = {"category": 0.6, "attribute": 0.25, "relation": 0.15}
#: how often something absent is asked for first, where a scene has such a triplet
ABSENT = 0.36
#: what has no objects: which part of it lies "beside the water" depends on where a label map happens to cut it
STUFF = ("bare land", "road", "vegetation", "water")
#: relation -> other ways to say it
RELATIONS = {"along": ["along", "along", "by", "next to"], "beside": ["beside", "beside", "next to", "near"], "on": ["on"], "in": ["in"],
             "driving on": ["driving on", "on"], "with": ["with"], "along with": ["along with", "with"]}
PATTERN = re.compile(r"^(.+?) (driving on|along with|along|beside|on|in|with) (the )?(.+)$")


@dataclass
class Triplet:
    expression: str
    kind: str
    mask: Path
    ignored: Path | None
    points: np.ndarray  # some (x, y) inside the target

    def target(self) -> Image.Image:
        """0 / 1 / 255."""
        out = (np.asarray(Image.open(self.mask)) > 0).astype(np.uint8)
        if self.ignored:
            out[np.asarray(Image.open(self.ignored)) > 0] = IGNORE
        return Image.fromarray(out)


@dataclass
class TripletScene:
    name: str
    source: str
    path: Path
    triplets: list[Triplet] = field(default_factory=list)
    cache: Image.Image | None = None

    @property
    def image(self) -> Image.Image:
        if self.cache is None:
            self.cache = Image.open(self.path).convert("RGB")
        return self.cache


def load_triplets(folder: Path, split: str) -> list[TripletScene]:
    """One scene an image, with every expression about it."""
    provenance = json.loads((folder / "provenance.json").read_text())["samples"]
    rng = np.random.default_rng(0)
    images = {p.stem: p for p in (folder / "images").iterdir()}
    scenes: dict[str, TripletScene] = {}
    for line in (folder / f"output_phrase_{split}.txt").read_text().splitlines():
        name, expression = line.split(" ", 1)
        about = provenance[name]
        # Crops of one tile are different images; copies of one image have one size and content.
        image = images[name]
        key = f"{about['scene']} {image.stat().st_size}"
        scene = scenes.setdefault(key, TripletScene(about["scene"], about["source"] or "synthetic", image))
        ignored = folder / "ignored" / f"{name}.png"
        mask = next(p for end in ("png", "tif") if (p := folder / "masks" / f"{name}.{end}").exists())
        y, x = np.nonzero(np.asarray(Image.open(mask)))
        pick = rng.integers(0, len(y), 30) if len(y) else np.zeros(0, int)
        scene.triplets.append(Triplet(expression, about["kind"], mask, ignored if ignored.exists() else None, np.stack([x[pick], y[pick]], 1)))
    return list(scenes.values())


def reworded(expression: str, rng: random.Random) -> str:
    """The same in other words: subject, relation and reference by their synonyms, half of the time."""
    if expression in WORDS:
        return draw(expression, rng)
    if rng.random() < 0.5:
        return framed(expression, rng) if rng.random() < 0.15 else expression
    if found := PATTERN.match(expression):
        subject, relation, the, reference = found.groups()
        if reference in WORDS:
            subject = rng.choice(WORDS.get(subject, [subject]))
            return f"{subject} {rng.choice(RELATIONS[relation])} {the or ''}{rng.choice(WORDS[reference][:3])}"
    return framed(expression, rng)


def teaches(triplet: Triplet) -> bool:
    """Whether a crop may ask for it: relations need a subject that comes in objects."""
    return triplet.kind != "relation" or not triplet.expression.startswith(STUFF)


class TripletSampler:
    """Draws scenes and what to ask about them."""

    def __init__(self, scenes: list[TripletScene]):
        self.scenes = scenes = [s for scene in scenes if (s := replace(scene, triplets=list(filter(teaches, scene.triplets)))).triplets]
        self.sources = sorted({s.source for s in scenes})
        self.by_source = {name: [s for s in scenes if s.source == name] for name in self.sources}
        # What few scenes show ("bus") is asked for more often where it is.
        seen = Counter(t.expression for s in scenes for t in s.triplets if len(t.points))
        self.rarity = {expression: count**-0.5 for expression, count in seen.items()}
        self.shares = [sum(len(s.triplets) for s in self.by_source[name]) ** 0.7 for name in self.sources]

    def draw(self, count: int, rng: random.Random) -> tuple[TripletScene, list[Triplet]]:
        """A scene and `count` of its triplets; the first is one to centre a crop on."""
        of_source = self.by_source[rng.choices(self.sources, self.shares)[0]]
        scene = rng.choices(of_source, [math.sqrt(len(s.triplets)) for s in of_source])[0]
        present = [t for t in scene.triplets if len(t.points)]
        absent = [t for t in scene.triplets if not len(t.points)]
        if not present or (absent and rng.random() < ABSENT):
            first = rng.choice(absent or present)
        else:
            kinds = {k: [t for t in present if t.kind == k] for k in {t.kind for t in present}}
            names = sorted(kinds)
            of_kind = kinds[rng.choices(names, [KINDS.get(k, 0.2) for k in names])[0]]
            first = rng.choices(of_kind, [self.rarity[t.expression] for t in of_kind])[0]
        asked = [first]
        rest = [t for t in scene.triplets if t is not first]
        while len(asked) < count:
            # The same subject in another relation shows what the relation says.
            akin = [t for t in rest if t.expression.split(" ")[0] == first.expression.split(" ")[0]]
            pool = akin if akin and rng.random() < 0.5 else rest or [first]
            asked.append(rng.choice(pool))
            rest = [t for t in rest if t is not asked[-1]]
        return scene, asked
