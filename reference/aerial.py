"""Aerial scenes with label maps: crops, augmentation and expressions for training.

Expects `{train,val}/<source>/<scene>.{jpg,png,json}`; the JSON's `annotated` lists the classes labelled throughout.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from augment import IGNORE, RECOLOURED, Cutout, paste_vehicles, photometric
from expressions import ATTRIBUTES, ELSEWHERE, LABELS, draw
from relations import ABSENCE_UNCERTAIN, PAIRINGS, certain, points_of_relations, related
from triplets import TripletSampler, reworded

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
#: how often a concept is the subject of a crop
SUBJECTS = {"building": 0.18, "vegetation": 0.12, "water": 0.12, "road": 0.14, "car": 0.10, "vehicle": 0.03, "bare land": 0.07,
            "bus": 0.05, "van": 0.035, "light-duty vehicle": 0.02, "heavy-duty vehicle": 0.02,
            "building with tin roof": 0.03, "building with concrete roof": 0.03, "building with clay tile roof": 0.015,
            "building with metal roof": 0.01, "light-coloured car": 0.02, "dark car": 0.015, "light-coloured van": 0.01, "dark van": 0.01,
            "light-coloured bus": 0.01, "dark bus": 0.01, "white van": 0.004, "black van": 0.004, "red van": 0.004, "blue van": 0.004,
            "white bus": 0.004, "black bus": 0.004, "red bus": 0.004, "blue bus": 0.004}
#: share of the crops that get vehicles of other scenes pasted in
PASTED = 0.14
#: share of the crops that show two scenes side by side: what a camera sees of one class must not tell it
MOSAIC = 0.15
#: share of the crops turned by any angle, beside those by right angles
TURNED = 0.25
#: how often a crop is asked for relations, where its label map has some
RELATED = 0.7
#: share of the crops of classes that are laid where a relation, each as often as any other, has a target: along the water, say, few
#: buildings stand, and who is asked for them where none does learns that there are none
RELATION_FIRST = 0.3
#: how often a crop of triplets is also asked for something that is in no scene at all
FOREIGN = 0.12
#: (mean, low, high) of the logarithm of a crop's scale over that of whole-image inference: drone vehicles also smaller,
#: satellite roads also larger, as they are in images of other sensors
SCALE = {"kitais": (-0.2, -0.9, 0.5), "dubai": (0.1, -0.6, 1.1)}
#: concepts that are certainly absent from every scene of a source
NEVER = {
    "urbantree": [ELSEWHERE, "airplane", "stadium", "storage tank", "runway", "snow", "wind turbine", "harbor"],
    "fair_models": [ELSEWHERE, "airplane", "ship", "storage tank", "runway", "stadium", "snow", "wind turbine", "baseball field", "tennis court", "train"],
    "fair_hist": [ELSEWHERE, "airplane", "storage tank", "runway", "stadium", "snow", "wind turbine", "baseball field", "tennis court", "train"],
    "kitais": [ELSEWHERE, "airplane", "ship", "storage tank", "runway", "water", "bare land", "snow", "wind turbine", "baseball field", "harbor"],
    "dubai": [ELSEWHERE, "snow", "wind turbine"],
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
    attributes: dict[str, Image.Image]  # concept -> 1 has it, 0 has not, 255 unknown
    palette: tuple[np.ndarray, np.ndarray]  # mean and standard deviation of the colours, in 0..1
    gsd: float | None = None  # metres a pixel

    @property
    def concepts(self) -> list[str]:
        """Concepts whose every pixel is labelled here."""
        out = [c for c in self.annotated if c in LABELS]
        return out + ["vehicle", "light-duty vehicle", "heavy-duty vehicle"] if "car" in out else out

    @property
    def relates(self) -> bool:
        """Whether its label map can decide relations."""
        return any(set(s) & set(self.annotated) and set(r) & set(self.annotated) for _, s, r in PAIRINGS)

    def answer(self, concept: str, label: np.ndarray, cut) -> np.ndarray:
        """0 / 1 / 255 for a concept in a crop with this label map; all 255 where nobody knows."""
        if concept in self.attributes:
            return np.asarray(cut(self.attributes[concept]))
        if concept in ATTRIBUTES:
            category = ATTRIBUTES[concept][0]
            out = target(label, category)
            out[out == 1] = IGNORE
            return out if category in self.annotated else np.full_like(label, IGNORE)
        known = concept in self.concepts or concept not in LABELS and concept in NEVER.get(self.source, [])
        return target(label, concept) if known else np.full_like(label, IGNORE)


def attribute_maps(label: np.ndarray, instances: list[dict]) -> dict[str, Image.Image]:
    """Maps of the attributes that at least one object of the scene is known to have or not to have."""
    maps = {}
    for concept, (category, key, value) in ATTRIBUTES.items():
        known = [i for i in instances if i["class"] == category and key in i.get("attributes", {})]
        if not known:
            continue
        category_pixels = np.isin(label, LABELS[category])
        image = Image.new("L", label.shape[::-1], IGNORE)
        pen = ImageDraw.Draw(image)
        for i in known:
            fill = int(i["attributes"][key] == value)
            if "polygon" in i:
                pen.polygon([tuple(p) for p in i["polygon"]], fill=fill)
            else:
                pen.rectangle(i["bbox"], fill=fill)
        out = np.where(category_pixels, np.asarray(image), 0).astype(np.uint8)
        out[label == IGNORE] = IGNORE
        maps[concept] = Image.fromarray(out)
    return maps

def load_scene(path: Path, rng: np.random.Generator) -> Scene:
    image = Image.open(path).convert("RGB")
    label = Image.open(path.with_suffix(".png"))
    image.load(), label.load()
    meta = json.loads(path.with_suffix(".json").read_text())
    array = np.asarray(label)
    small = np.asarray(image.resize((64, 64), Image.BILINEAR), np.float32).reshape(-1, 3) / 255
    scene = Scene(path.stem, path.parent.name, image, label, meta["annotated"], {}, {},
                  attribute_maps(array, meta["instances"]), (small.mean(0), small.std(0) + 0.02), meta["gsd_m"])
    for concept in scene.concepts + list(scene.attributes):
        y, x = np.nonzero(np.asarray(scene.attributes[concept]) == 1 if concept in ATTRIBUTES else np.isin(array, LABELS[concept]))
        if len(y) >= 30:
            pick = rng.choice(len(y), min(200, len(y)), replace=False)
            scene.points[concept] = np.stack([x[pick], y[pick]], 1)
            scene.pixels[concept] = len(y)
    return scene


def load_split(root: Path, split: str, sources: list[str] | None = None) -> list[Scene]:
    rng = np.random.default_rng(0)
    return [load_scene(p, rng) for p in sorted((root / split).glob("*/*.jpg")) if not sources or p.parent.name in sources]


def normalise(pixels: Tensor) -> Tensor:
    """8-bit RGB (..., 3, H, W) -> what the network reads."""
    return (pixels.float() / 255 - MEAN.to(pixels.device)) / STD.to(pixels.device)


def tensor(image: Image.Image) -> Tensor:
    """-> 8-bit RGB (3, H, W)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def target(label: np.ndarray, concept: str) -> np.ndarray:
    """0 / 1 / 255 for a concept; concepts without a label index are absent everywhere."""
    out = np.isin(label, LABELS.get(concept, ())).astype(np.uint8)
    out[label == IGNORE] = IGNORE
    return out


def cutouts(scenes: list[Scene], folder: Path) -> list[Cutout]:
    """Vehicles with a traced outline, whole, at least 20 pixels long."""
    found = []
    for scene in scenes:
        if scene.source != "kitais":
            continue
        label = np.asarray(scene.label)
        for i in json.loads((folder / scene.source / f"{scene.name}.json").read_text())["instances"]:
            attributes = i.get("attributes", {})
            if attributes.get("truncated") or attributes.get("mask_method") != "grabcut" or i["class"] not in LABELS:
                continue
            x0, y0, x1, y1 = (round(v) for v in i["bbox"])
            mask = np.isin(label[y0:y1, x0:x1], LABELS[i["class"]])
            if max(mask.shape) >= 20 and mask.mean() > 0.3:
                found.append(Cutout(i["class"], scene.image.crop((x0, y0, x1, y1)), Image.fromarray(mask.astype(np.uint8) * 255)))
    return found


class CropSampler:
    """Batches of crops, each with `per_image` expressions; deterministic from its `random.Random`."""

    def __init__(self, scenes: list[Scene], rng: random.Random, full_size: int, per_image: int = 2, vehicles: list[Cutout] = (),
                 triplets: list[tuple[TripletSampler, float]] = (), recoloured: float = RECOLOURED):
        """`triplets`: samplers of triplets and their shares of the crops; the rest are crops of labelled scenes. `recoloured`: the share
        of the crops that take the colours of another scene."""
        self.rng, self.full_size, self.per_image, self.scenes, self.triplets = rng, full_size, per_image, scenes, triplets
        self.recoloured = recoloured
        # As many buses and vans as cars.
        kinds = {k: [v for v in vehicles if v.concept == k] for k in ("car", "van", "bus")}
        self.vehicles = [v for k, of_kind in kinds.items() for v in (of_kind if k == "car" else of_kind * 3)]
        self.by_concept = {c: [s for s in scenes if c in s.points] for c in SUBJECTS}
        self.subjects = {c: share for c, share in SUBJECTS.items() if self.by_concept[c]}
        self.sources = {c: sorted({s.source for s in v}) for c, v in self.by_concept.items()}
        self.by_relation: dict[str, list[tuple[Scene, np.ndarray]]] = {}
        for scene in (s for s in scenes if s.relates):
            for expression, points in points_of_relations(np.asarray(scene.label), scene.concepts, scene.gsd):
                self.by_relation.setdefault(expression, []).append((scene, points))

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

    def other(self, scene: Scene, label: np.ndarray, asked: list[str]) -> str:
        """Another class of the crop, one that is annotated but not in it, or one that is certainly absent."""
        rng = self.rng
        others = [c for c in scene.concepts + list(scene.attributes) if c not in asked]
        present = [c for c in others if np.isin(label, LABELS[ATTRIBUTES[c][0] if c in ATTRIBUTES else c]).any()]
        absent = [c for c in others if c not in present and c not in ABSENCE_UNCERTAIN.get(scene.source, ())]
        never = [c for c in NEVER.get(scene.source, []) if c not in asked]
        for choice, odds in ((present, 0.5), (absent, 0.75), (never, 0.6)):
            if choice and rng.random() < odds:
                return ELSEWHERE if choice is never and rng.random() < 0.5 else rng.choice(choice)
        # Another wording of what was asked already.
        return rng.choice(present or asked)

    def pasted(self, scene: Scene, image: Image.Image, label: np.ndarray) -> tuple[Image.Image, list[str], list[np.ndarray]]:
        """Vehicles of other scenes in this one: what else may stand in it is ignored where nobody labelled it."""
        rng = self.rng
        image, placed, names = paste_vehicles(image, self.vehicles, rng)
        known = "car" in scene.annotated
        # Satellite scenes show a vehicle as a speck: ground there counts as ground.
        free = scene.source == "dubai"
        concepts, targets = [], []
        wanted = ["car", "vehicle", "bus", "van", "light-duty vehicle", "red car", "blue car", "yellow car", "green car"]
        weights = [5, 2, 2, 1, 1, 1.5, 1.5, 0.7, 0.7]
        while len(concepts) < self.per_image:
            concept = rng.choices(wanted, weights)[0]
            kinds = {"vehicle": ("car", "van", "bus", "truck"), "light-duty vehicle": ("car", "van")}.get(concept, (concept.split()[-1],))
            colour = concept.split()[0] if concept.endswith(" car") and concept != "car" else None
            hit = [i for i, n in enumerate(names) if n.split()[-1] in kinds and (colour is None or n.startswith(colour))]
            if concept in concepts or (not hit and rng.random() < 0.7):
                if len(names) == 0 or rng.random() < 0.1:
                    break
                continue
            # Real cars of the scene have a colour, too, that nobody labelled.
            base = target(label, concept) if known and not colour else np.where(
                np.isin(label, LABELS["vehicle"]) if known else (label == IGNORE), IGNORE, 0).astype(np.uint8)
            out = base if known or free else np.full_like(label, IGNORE)
            out = out.copy()
            out[(placed == 254) & (out == IGNORE) & (label != IGNORE)] = 0
            out[placed < 254] = 0
            out[np.isin(placed, hit)] = 1
            concepts.append(concept)
            targets.append(out)
        while len(concepts) < self.per_image:
            concepts.append(concepts[-1] if concepts else "airplane")
            targets.append(targets[-1] if targets else np.zeros_like(label))
        return image, concepts, targets

    def crop(self, size: int) -> tuple[Image.Image, Image.Image, list[str], list[np.ndarray]]:
        """-> the crop, the same before its colours were changed, expressions and targets."""
        chance = self.rng.random()
        for sampler, share in self.triplets:
            if chance < share:
                return self.crop_of_triplets(sampler, size)
            chance -= share
        return self.crop_of_classes(size)

    def cutter(self, box: tuple[int, int, int, int], size: int):
        """The same window, scaled and turned, out of images and maps."""
        rng = self.rng
        turns = [t for t in (Image.FLIP_LEFT_RIGHT, Image.FLIP_TOP_BOTTOM, Image.TRANSPOSE) if rng.random() < 0.5]
        angle = rng.uniform(0, 360) if rng.random() < TURNED else None
        # Mosaics of aerial images end in black, white or grey where they are not along the axes.
        corner = (rng.choice([0, 0, 255, rng.randint(0, 255)]),) * 3

        def cut(whole: Image.Image, filter=Image.NEAREST) -> Image.Image:
            part = whole.resize((size, size), filter, box=box)
            for turn in turns:
                part = part.transpose(turn)
            if angle is not None:
                part = part.rotate(angle, filter, fillcolor=IGNORE if part.mode == "L" else corner)
            return part

        return cut

    def crop_of_triplets(self, sampler: TripletSampler, size: int) -> tuple[Image.Image, Image.Image, list[str], list[np.ndarray]]:
        rng = self.rng
        scene, asked = sampler.draw(self.per_image, rng)
        points = asked[0].points
        cut = self.cutter(self.box(scene, size, rng.choice(points) if len(points) and rng.random() < 0.9 else None), size)
        clean = cut(scene.image, Image.BILINEAR)
        image = photometric(clean, rng, rng.choice(self.scenes).palette, self.recoloured)
        expressions, targets = [reworded(t.expression, rng) for t in asked], [np.asarray(cut(t.target())) for t in asked]
        if rng.random() < FOREIGN:
            expressions[-1], targets[-1] = draw(ELSEWHERE, rng), np.zeros_like(targets[-1])
        return image, clean, expressions, targets

    def crop_of_classes(self, size: int) -> tuple[Image.Image, Image.Image, list[str], list[np.ndarray]]:
        rng = self.rng
        relation = rng.choice(list(self.by_relation)) if self.by_relation and rng.random() < RELATION_FIRST else None
        if relation:
            scene, points = rng.choice(self.by_relation[relation])
            concept = next(c for c in scene.concepts if relation.startswith(c + " "))
        else:
            concept = rng.choices(list(self.subjects), list(self.subjects.values()))[0]
            scene = self.scene(concept)
            points = scene.points[concept]
        box = self.box(scene, size, rng.choice(points) if rng.random() < 0.9 else None)
        cut = self.cutter(box, size)
        image, label = cut(scene.image, Image.BILINEAR), np.array(cut(scene.label))
        kind = rng.random()
        if self.vehicles and not relation and kind < PASTED:
            image, concepts, targets = self.pasted(scene, image, label)
            expressions = [draw(c, rng) for c in concepts]
        else:
            concepts = [concept]
            while len(concepts) < self.per_image:
                concepts.append(self.other(scene, label, concepts))
            targets = [scene.answer(c, label, cut) for c in concepts]
            expressions = [draw(c, rng) for c in concepts]
            if not relation and kind > 1 - MOSAIC:
                image = self.mosaic(scene, image, concepts, targets)
            elif relation or scene.relates and rng.random() < RELATED:
                found = related(label, scene.concepts, scene.gsd, size / (box[2] - box[0]))
                self.ask_relations(certain(found, scene.source), expressions, targets, relation)
        palette = rng.choice(self.scenes).palette
        return photometric(image, rng, palette, self.recoloured), image, expressions, targets

    def ask_relations(self, found: list[tuple[str, np.ndarray]], expressions: list[str], targets: list[np.ndarray],
                      first: str | None = None) -> None:
        """Replaces the last expressions, all but the first two, by relations. `first` is among them, if found."""
        at = min(2, len(expressions) - 1)
        asked = self.relations(found, len(expressions) - at, first)
        for i, (expression, target) in enumerate(asked, at):
            expressions[i], targets[i] = expression, target

    def relations(self, found: list[tuple[str, np.ndarray]], most: int, first: str | None = None) -> list[tuple[str, np.ndarray]]:
        """Some of the relations of a crop, few of them without a target, in other words; `first` is one of them, if found."""
        rng, asked = self.rng, []
        found = sorted(found, key=lambda relation: relation[0] != first)
        weights = [1.0 if (t == 1).any() else 0.4 for _, t in found]
        while found and len(asked) < most:
            pick = 0 if not asked and found[0][0] == first else rng.choices(range(len(found)), weights)[0]
            expression, target = found.pop(pick)
            weights.pop(pick)
            asked.append((reworded(expression, rng), target))
        return asked

    def mosaic(self, scene: Scene, image: Image.Image, concepts: list[str], targets: list[np.ndarray]) -> Image.Image:
        """Puts a scene of another source beside this one; targets are changed where it lies."""
        rng = self.rng
        others = sorted({s for sources in self.sources.values() for s in sources} - {scene.source})
        if not others:
            return image
        source = rng.choice(others)
        other = self.scene_of(source)
        size = image.size[0]
        cut = self.cutter(self.box(other, size, None), size)
        beside, label = cut(other.image, Image.BILINEAR), np.asarray(cut(other.label))
        at = round(size * rng.uniform(0.35, 0.65))
        left, top = rng.choice([(at, 0), (0, at)])
        image = image.copy()
        image.paste(beside.crop((left, top, size, size)), (left, top))
        for i, concept in enumerate(concepts):
            targets[i] = targets[i].copy()
            targets[i][top:, left:] = other.answer(concept, label, cut)[top:, left:]
        return image

    def scene_of(self, source: str) -> Scene:
        return self.rng.choice([s for s in self.scenes if s.source == source])

    def batch(self, images: int, size: int) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """-> 8-bit RGB (B, 3, S, S), the same before its colours were changed, B * per_image expressions (image-major) and their
        targets (B * per_image, S, S)."""
        crops = [self.crop(size) for _ in range(images)]
        pixels, clean = (torch.from_numpy(np.stack([np.asarray(c[i]) for c in crops])).permute(0, 3, 1, 2) for i in (0, 1))
        targets = torch.from_numpy(np.stack([t for c in crops for t in c[3]]))
        return pixels, clean, [e for c in crops for e in c[2]], targets


class Batches(IterableDataset):
    """Endless batches of a sampler; in worker processes each draws its own."""

    def __init__(self, sampler: CropSampler, images: int, size: int, seed: int):
        self.sampler, self.images, self.size, self.seed = sampler, images, size, seed

    def __iter__(self):
        worker = get_worker_info()
        if worker is not None:
            torch.set_num_threads(1)
            self.sampler.rng.seed(1000 * self.seed + worker.id)
        while True:
            yield self.sampler.batch(self.images, self.size)
