"""Relations of a crop, drawn and, where `rrsis dataset` made triplets, against those.

    python reference/tests/test_relations.py [DATA REFSEGRS]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import aerial  # noqa: E402
from expressions import LABELS  # noqa: E402
from relations import certain, points_of_relations, related  # noqa: E402

BUILDING, ROAD, WATER = (LABELS[c][0] for c in ("building", "road", "water"))


def scene() -> np.ndarray:
    label = np.zeros((120, 120), np.uint8)
    label[50:60] = ROAD
    label[35:47, 20:40] = BUILDING  # three pixels from the road
    label[5:20, 70:90] = BUILDING  # thirty from it
    return label


def test_only_the_region_at_the_road_is_meant() -> None:
    targets = dict(related(scene(), ["building", "road"], 1.0, 1.0))
    expected = np.zeros((120, 120), np.uint8)
    expected[35:47, 20:40] = 1
    assert list(targets) == ["building along the road"]
    assert (targets["building along the road"] == expected).all()


def test_points_lie_in_what_is_meant() -> None:
    for most, expected in ((7, 7), (1000, 240)):
        ((expression, points),) = points_of_relations(scene(), ["building", "road"], 1.0, most)
        assert expression == "building along the road"
        assert points.shape == (expected, 2)
        assert ((points >= [20, 35]) & (points < [40, 47])).all()
    assert not points_of_relations(scene(), ["building"], 1.0)


def test_crops_are_laid_where_a_rare_relation_is() -> None:
    road = np.where(scene() == ROAD, ROAD, 0).astype(np.uint8)
    road[5:20, 70:90] = BUILDING
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for i, label in enumerate([scene()] + [road] * 19):
            path = Path(folder) / "train" / "dubai" / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (120, 120, 3), np.uint8)).save(path)
            Image.fromarray(label).save(path.with_suffix(".png"))
            path.with_suffix(".json").write_text(json.dumps({"annotated": ["building", "road"], "gsd_m": 1.0, "instances": []}))
        scenes = aerial.load_split(Path(folder), "train")

    def there(first: float) -> float:
        """Share of the crops that are asked for the building at the road, and show it."""
        sampler = aerial.CropSampler(scenes, random.Random(0), 120, 4)
        with patch.object(aerial, "RELATION_FIRST", first), patch.object(aerial, "reworded", lambda expression, _: expression):
            crops = [sampler.crop_of_classes(96) for _ in range(60)]
        return sum(e == "building along the road" and (t == 1).any() for c in crops for e, t in zip(c[2], c[3], strict=True)) / 60

    assert there(0.0) < 0.1 < 0.4 < there(1.0), (there(0.0), there(1.0))


def test_a_buffer_is_in_metres_of_the_ground() -> None:
    # At 5 m a pixel the narrowest buffer, two pixels, does not reach the road, which is three away.
    assert not dict(related(scene(), ["building", "road"], 5.0, 1.0))["building along the road"].any()
    # A crop twice as large shows the same ground: still meant.
    twice = np.kron(scene(), np.ones((2, 2), np.uint8))
    assert (dict(related(twice, ["building", "road"], 1.0, 2.0))["building along the road"] == 1).sum() == 4 * 12 * 20


def test_what_the_unknown_could_turn_is_ignored() -> None:
    label = scene()
    label[20:25, 70:90] = 255
    target = dict(related(label, ["building", "road"], 1.0, 1.0))["building along the road"]
    assert (target[5:20, 70:90] == 255).all() and (target[35:47, 20:40] == 1).all()


def test_a_class_that_is_not_labelled_throughout_is_not_asked_for() -> None:
    label = scene()
    label[100:] = WATER
    assert not any("water" in e for e, _ in related(label, ["building", "road"], 1.0, 1.0))


def test_what_a_source_outlines_only_where_it_covers_much_is_never_absent() -> None:
    somewhere, nowhere = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    found = [("building beside the vegetation", nowhere), ("vegetation along the road", somewhere), ("building along the road", nowhere)]
    assert [e for e, _ in certain(found, "dubai")] == ["vegetation along the road", "building along the road"]
    assert certain(found, "drawn") == found


def against_triplets(data: Path, triplets: Path) -> None:
    """The same masks as the builder's, on the scenes that it did not trim."""
    same = different = 0
    samples = json.loads((triplets / "provenance.json").read_text())["samples"]
    lines = [line.split(" ", 1) for f in sorted(triplets.glob("output_phrase_*.txt")) for line in f.read_text().splitlines()]
    for name, expression in lines:
        about = samples[name]
        if about["kind"] != "relation" or about.get("trimmed"):
            continue
        path = next(data.glob(f"*/{about['scene']}.json"))
        label = np.array(Image.open(path.with_suffix(".png")))
        meta = json.loads(path.read_text())
        mine = dict(related(label, [c for c in meta["annotated"] if c in LABELS], meta["gsd_m"], 1.0)).get(expression)
        theirs = np.array(Image.open(next((triplets / "masks").glob(f"{name}.*")))) > 0
        if mine is None and not theirs.any():
            continue  # subject or reference is not there at all: other crops ask for what is absent
        agree = mine is not None and ((mine == 1) == theirs).all()
        same, different = same + agree, different + (not agree)
    print(f"{same} relations as the builder has them, {different} not")
    assert different <= 0.01 * same


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
    if len(sys.argv) > 2:
        against_triplets(Path(sys.argv[1]), Path(sys.argv[2]))
