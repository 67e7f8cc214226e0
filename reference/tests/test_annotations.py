"""Hand-drawn outlines become the targets that they outline.

    python reference/tests/test_annotations.py
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "reference"))

from annotations import ABSENT, CLASSES, triplets  # noqa: E402
from expressions import WORDS  # noqa: E402


def square(name: str, x: int, y: int, side: int, **more: object) -> dict:
    return {"class": name, "polygon": [[x, y], [x + side - 1, y], [x + side - 1, y + side - 1], [x, y + side - 1]], **more}


def found(objects: list[dict], annotated: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    got = triplets({"annotated": annotated, "objects": objects}, (100, 100), random.Random(0))
    return {expression: (mask, np.broadcast_to(ignored, mask.shape)) for expression, _, mask, ignored in got}


def test_a_seam_surrounds_what_is_not_small() -> None:
    mask, ignored = found([square("building", 10, 10, 40)], ["building"])["building"]
    assert mask.sum() == 1600
    # A pixel inside and one outside all around: 42^2 - 38^2.
    assert (ignored > 0).sum() == 42**2 - 38**2


def test_a_hole_is_taken_out() -> None:
    mask, _ = found([square("water", 30, 30, 10, hole=True), square("water", 10, 10, 60)], ["water"])["water"]
    assert mask.sum() == 3600 - 100 and not mask[35, 35]


def test_only_annotated_classes_are_asked_for() -> None:
    got = found([square("car", 5, 5, 10)], ["building", "water"])
    assert set(got) == {"building", "water"} and not any(mask.any() for mask, _ in got.values())


def test_few_of_many_absent_classes_are_asked_for() -> None:
    assert len(found([], list(CLASSES))) == ABSENT


def test_doubt_forbids_absence() -> None:
    assert not found([square("ignore", 5, 5, 10)], ["building", "water"])


def test_a_car_without_colour_is_ignored_by_colours() -> None:
    cars = [square("car", 5, 5, 10, colour="red"), square("car", 50, 50, 10), square("road", 0, 40, 60)]
    got = found(cars, ["car", "road"])
    mask, ignored = got["red car"]
    assert mask.sum() == 100 and ignored[55, 55] and not ignored[8, 8]
    on_road, _ = got["car on the road"]
    assert on_road[55, 55] and not on_road[8, 8]


def test_every_label_of_the_repository_can_be_read() -> None:
    for file in sorted((ROOT / "reference/labels").glob("*.jsonl")):
        scenes = [json.loads(line) for line in file.read_text().splitlines()]
        assert len({s["scene"] for s in scenes}) == len(scenes), file
        for scene in scenes:
            assert all(e in WORDS or k != "category" for e, k, _, _ in triplets(scene, (1024, 1024), random.Random(0)))


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
