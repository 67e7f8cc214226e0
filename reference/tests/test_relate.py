"""Relations taught alone: what is asked of a crop, and that nothing else learns.

    python reference/tests/test_relate.py
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "reference"))

import aerial  # noqa: E402
from expressions import LABELS  # noqa: E402
from relate import Questions, kept, learned, lower, to_nowhere, upper  # noqa: E402
from rrsis_twin import Rrsis, RrsisConfig  # noqa: E402

BUILDING, ROAD, WATER = (LABELS[c][0] for c in ("building", "road", "water"))
CONCEPTS = ["building", "road", "water", "vegetation"]


def drawn() -> np.ndarray:
    label = np.zeros((120, 120), np.uint8)
    label[50:60] = ROAD
    label[35:47, 20:40] = BUILDING
    label[5:20, 70:90] = BUILDING
    return label


def test_what_is_nowhere_is_asked_for_only_where_all_is_known() -> None:
    label = drawn()
    asked = to_nowhere(label, CONCEPTS)
    assert "building along the water" in asked and "building along the road" not in asked
    # Neither a subject that is not there nor a reference that nobody labelled.
    assert not any(e.startswith(("water", "vegetation")) or "bare land" in e for e in asked)
    assert set(asked) > set(to_nowhere(label, ["building", "road", "water"]))
    label[0, 0] = 255
    assert not to_nowhere(label, CONCEPTS)


def test_crops_are_asked_for_relations_and_last_for_what_stays() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train" / "dubai" / "0.jpg"
        path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (120, 120, 3), np.uint8)).save(path)
        Image.fromarray(drawn()).save(path.with_suffix(".png"))
        path.with_suffix(".json").write_text(json.dumps({"annotated": CONCEPTS, "gsd_m": 1.0, "instances": []}))
        scenes = aerial.load_split(Path(folder), "train")
    sampler = aerial.CropSampler(scenes, random.Random(0), 120, 4)
    pixels, expressions, targets, told = next(Questions(sampler, 4).batches(40, 0.75, 96))
    assert pixels.shape == (40, 3, 96, 96) and targets.shape == (160, 96, 96) and len(expressions) == 160
    asked = told.reshape(40, 4)
    assert asked[:30, 0].all() and not asked[:30, 3].any()
    # What was trained before, too; few relations have no target at all, and some of those name what is nowhere.
    assert (asked[30:] == 0).any()
    present = (targets == 1).flatten(1).any(1).reshape(40, 4)
    assert 0.5 < present[:30, 0].float().mean() < 1.01
    assert 5 < (asked[:30, 1:3] > 0).sum() - present[:30, 1:3].sum() < 60


def net() -> Rrsis:
    torch.manual_seed(0)
    return Rrsis(RrsisConfig.load(ROOT / "reference/configs/lgce-small.json")).eval()


def test_both_parts_are_the_network() -> None:
    network = net()
    image, words = torch.randn(2, 3, 64, 64), torch.randn(4, 6, network.config.bert.hidden_size)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]] * 4)
    with torch.no_grad():
        whole = network.model.low_resolution(image, words, mask)
        parts = upper(network.model, *lower(network.model, image, words, mask), words, mask)
    assert torch.equal(whole, parts)


def test_the_first_stages_learn_nothing() -> None:
    names = [name for name, _ in learned(net().model)]
    assert any("layers.2." in n for n in names) and any("layers.3." in n for n in names) and any(n.startswith("classifier.") for n in names)
    lower_part = tuple(f"backbone.{part}" for part in ("layers.0.", "layers.1.", "norm0.", "norm1.", "patch_embed."))
    assert not any(n.startswith(lower_part) for n in names)


def test_what_was_said_before_is_where_the_loss_is_least() -> None:
    before = torch.randn(3, 20, 20) * 3
    least = kept(before, before)
    for change in (0.3, -0.3):
        assert (kept(before + change, before) > least).all()
    margins = before.clone().requires_grad_(True)
    kept(margins, before).sum().backward()
    assert margins.grad.abs().max() < 1e-6


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
