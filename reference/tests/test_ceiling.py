"""What `ceiling.py` learns from and how it scores.

    python reference/tests/test_ceiling.py
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "reference"))

import aerial  # noqa: E402
from ceiling import crop, score  # noqa: E402
from expressions import LABELS  # noqa: E402
from pairs import validation_pairs  # noqa: E402


def drawn(folder: Path) -> list[aerial.Scene]:
    """Two scenes, of which only the first has its roads labelled; a building in each."""
    rng = np.random.default_rng(0)
    for name, annotated in (("0", ["building", "road"]), ("1", ["building"])):
        path = folder / "train" / "dubai" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        label = np.zeros((120, 120), np.uint8)
        label[20:60, 20:60] = LABELS["building"][0]
        if "road" in annotated:
            label[80:100] = LABELS["road"][0]
        Image.fromarray(rng.integers(0, 255, (120, 120, 3), np.uint8)).save(path)
        Image.fromarray(label).save(path.with_suffix(".png"))
        path.with_suffix(".json").write_text(json.dumps({"annotated": annotated, "gsd_m": 1.0, "instances": []}))
    return aerial.load_split(folder, "train")


def test_what_a_scene_does_not_label_is_not_learned_from() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scenes = drawn(Path(folder))
    classes = ["building", "road"]
    sampler = aerial.CropSampler(scenes[1:], random.Random(0), 120, 1)
    image, which, known = crop(sampler, classes, 64)
    assert image.shape == (3, 64, 64) and which.shape == (64, 64)
    assert set(np.unique(which)) <= {0, 2, 255} and known.tolist() == [True, False, True]
    sampler = aerial.CropSampler(scenes[:1], random.Random(0), 120, 1)
    seen = [crop(sampler, classes, 64) for _ in range(20)]
    assert {int(v) for _, which, _ in seen for v in np.unique(which)} >= {0, 1, 2}
    assert all(known.all() for _, _, known in seen)


def test_every_class_of_every_scene_counts_once() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scenes = drawn(Path(folder))
    pairs = validation_pairs(scenes, ["building", "road"])
    assert len(pairs) == 3
    assert score(pairs, lambda pair: pair.mask == 1) == "mIoU 1.000, oIoU 1.000 over 3: building 1.000 (2), road 1.000 (1)"
    half = score(pairs, lambda pair: (pair.mask == 1) & (np.arange(120) < 40))
    assert half.startswith("mIoU 0.444") and "building 0.500 (2)" in half and "road 0.333 (1)" in half


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
