"""Hand-drawn outlines of tiles as triplets in the RefSegRS layout, for training (`train.py --triplets OUT=SHARE`).

    python annotations.py --labels reference/labels/ucmerced.jsonl --images DATA/unlabelled/ucmerced --out OUT --held-out DATA/handlabelled
    python annotations.py --labels reference/labels/train.jsonl --images DATA/train --out OUT

A line of the label file: `scene` (the image is IMAGES/<scene>.jpg); `annotated`, the classes of which every instance is outlined (or of
which there is none); `objects`, which have a `class`, one of `polygon` [[x, y], ...], `circle` [x, y, radius] and `box`
[x0, y0, x1, y1] in pixels of the image, and perhaps `colour` or `hole`. Class `ignore` counts nowhere, and neither does a seam of a
pixel along every outline that is not small.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

#: class of a label file -> the expression it is asked for
CLASSES = {"building": "building", "road": "road", "water": "water", "vegetation": "vegetation", "bare land": "bare land", "car": "car", "ship": "ship",
           "airplane": "airplane", "storage tank": "storage tank", "tennis court": "tennis court", "baseball diamond": "baseball field",
           "parking area": "parking area", "runway": "runway"}
#: colour of a car -> the expression
COLOURS = {"white": "light-coloured car", "black": "dark car", "red": "red car", "blue": "blue car", "green": "green car", "yellow": "yellow car"}
#: absent classes a tile is asked for
ABSENT = 5
#: outlines smaller than this many pixels have no seam: it would eat them
SMALL = 400


def drawn(objects: list[dict], size: tuple[int, int]) -> np.ndarray:
    image = Image.new("L", size, 0)
    pen = ImageDraw.Draw(image)
    for o in sorted(objects, key=lambda o: o.get("hole", False)):
        fill = 0 if o.get("hole") else 1
        if "polygon" in o:
            pen.polygon([tuple(p) for p in o["polygon"]], fill=fill)
        elif "circle" in o:
            x, y, r = o["circle"]
            pen.ellipse([x - r, y - r, x + r, y + r], fill=fill)
        else:
            pen.rectangle(o["box"], fill=fill)
    return np.asarray(image)


def seam(mask: np.ndarray) -> np.ndarray:
    image = Image.fromarray(mask)
    return np.asarray(image.filter(ImageFilter.MaxFilter(3))) != np.asarray(image.filter(ImageFilter.MinFilter(3)))


def triplets(label: dict, size: tuple[int, int], rng: random.Random) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """(expression, kind, mask, ignored) of a tile."""
    unknown = {o["class"] for o in label["objects"]} - set(CLASSES) - {"ignore"} | set(label["annotated"]) - set(CLASSES)
    if unknown:
        raise ValueError(f"unknown classes {sorted(unknown)}; known are {', '.join(CLASSES)}")
    of = {c: [o for o in label["objects"] if o["class"] == c] for c in CLASSES}
    doubtful = drawn([o for o in label["objects"] if o["class"] == "ignore"], size)
    out, absent = [], []
    for name, expression in CLASSES.items():
        if name not in label["annotated"]:
            continue
        mask = drawn(of[name], size)
        if mask.any():
            ignored = doubtful | (seam(mask) if name not in ("car", "ship") and mask.sum() / len(of[name]) > SMALL else 0)
            out.append((expression, "category", mask, ignored))
        elif not of[name] and not doubtful.any():
            absent.append((expression, "category", mask, doubtful))
    if "car" in label["annotated"] and of["car"]:
        unsure = drawn([o for o in of["car"] if "colour" not in o], size)
        for colour, expression in COLOURS.items():
            mask = drawn([o for o in of["car"] if o.get("colour") == colour], size)
            if mask.any() or (not unsure.any() and rng.random() < 0.3):
                # Silver and grey may count as light to one person and not to another.
                grey = drawn([o for o in of["car"] if o.get("colour") in ("silver", "grey")], size) if colour in ("white", "black") else 0
                out.append((expression, "attribute", mask, doubtful | unsure | grey))
        if "road" in label["annotated"]:
            road = drawn(of["road"], size)
            on = [o for o in of["car"] if (shape := drawn([o], size)).any() and road[shape > 0].mean() > 0.6]
            if on:
                out.append(("car on the road", "relation", drawn(on, size), doubtful))
    return out + rng.sample(absent, min(ABSENT, len(absent)))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--labels", type=Path, required=True)
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--held-out", type=Path, help="folder whose provenance.json names tiles that must not be among the labels")
    o = p.parse_args()
    labels = [json.loads(line) for line in o.labels.read_text().splitlines()]
    if o.held_out:
        held = {s["source_tile"] for s in json.loads((o.held_out / "provenance.json").read_text()).values()}
        if both := held & {label["scene"] for label in labels}:
            raise SystemExit(f"{o.labels}: {', '.join(sorted(both))} must stay out of training: {o.held_out} measures on them")
    if o.out.exists():
        # Files of an earlier run would be taken for this one's.
        raise SystemExit(f"{o.out} exists already: remove it, or name another folder")
    for folder in ("images", "masks", "ignored"):
        (o.out / folder).mkdir(parents=True)
    lines, samples = [], {}
    for label in labels:
        image = Image.open(o.images / f"{label['scene']}.jpg").convert("RGB")
        try:
            found = triplets(label, image.size, random.Random(label["scene"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{o.labels}, {label['scene']}: {error}") from error
        first = None
        for expression, kind, mask, ignored in found:
            name = f"a{len(lines):05}"
            # One file a tile, however many expressions are about it.
            if first is None:
                first = o.out / "images" / f"{name}.png"
                image.save(first)
            else:
                os.link(first, o.out / "images" / f"{name}.png")
            Image.fromarray(mask * np.uint8(255)).save(o.out / "masks" / f"{name}.png")
            if np.any(ignored):
                Image.fromarray((ignored > 0).astype(np.uint8) * np.uint8(255)).save(o.out / "ignored" / f"{name}.png")
            lines.append(f"{name} {expression}")
            samples[name] = {"scene": label["scene"], "source": o.labels.stem if "/" not in label["scene"] else label["scene"].split("/")[0], "kind": kind}
    (o.out / "output_phrase_train.txt").write_text("\n".join(lines) + "\n")
    (o.out / "provenance.json").write_text(json.dumps({"samples": samples}, indent=1))
    print(f"{o.out}: {len(labels)} scenes, {len(lines)} triplets")


if __name__ == "__main__":
    main()
