"""Crops that are cut on the accelerator, and which parameters are the encoder's.

    python reference/tests/test_pretrain.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from augment import IGNORE  # noqa: E402
from expressions import LABELS  # noqa: E402
from pretrain import CLASSES, ClassHeads, cut, read_atlas, recoloured  # noqa: E402
from rrsis_twin import Rrsis, RrsisConfig  # noqa: E402
from train import parameter_groups  # noqa: E402


def collection(folder: Path) -> None:
    """Two scenes whose pixels tell their label, and a tile without one."""
    scene = folder / "train" / "dubai"
    scene.mkdir(parents=True)
    for name, (h, w) in (("wide", (300, 500)), ("large", (900, 700))):
        label = np.full((h, w), 12, np.uint8)
        label[: h // 2, : w // 3] = 1
        Image.fromarray(np.repeat(label[..., None] * 20, 3, 2)).save(scene / f"{name}.jpg", "PNG")
        Image.fromarray(label).save(scene / f"{name}.png")
        (scene / f"{name}.json").write_text(json.dumps({"annotated": ["building", "water"]}))
    tile = folder / "unlabelled" / "ucmerced"
    tile.mkdir(parents=True)
    Image.new("RGB", (256, 256), (9, 9, 9)).save(tile / "a.jpg", "PNG")


def test_pixels_and_labels_are_of_the_same_place() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        collection(Path(folder))
        atlas = read_atlas(Path(folder), "cpu", None)
    pixels, labels, known = cut(atlas, 64, 40, 512)
    labelled = known[:, 0] > 0
    assert 0 < labelled.sum() < 40, "all kinds are drawn"
    assert (known[labelled].sum(1) == 2).all() and (labels[~labelled] == IGNORE).all()
    seen, told = pixels[labelled, 0] * 255 / 20, labels[labelled].float()
    known_pixels = told != IGNORE
    # Beside an edge of the drawing pixels are a mixture of two labels.
    right = ((seen - told).abs() < 0.6)[known_pixels].float().mean()
    assert right > 0.95, f"{right}"
    assert (told == 1).any() and (told == 12).any()


def test_recoloured_crops_stay_images() -> None:
    torch.manual_seed(1)
    x = torch.rand(16, 3, 32, 32)
    y = recoloured(x)
    assert y.shape == x.shape and torch.isfinite(y).all() and 0 <= y.min() and y.max() <= 1 and (y != x).any()


def test_only_labelled_classes_count() -> None:
    dims = [8, 16, 32, 64]
    torch.manual_seed(0)
    heads, maps = ClassHeads(dims), [torch.randn(1, d, 16 >> i, 16 >> i) for i, d in enumerate(dims)]
    labels, known = torch.full((1, 64, 64), LABELS["water"][0], dtype=torch.uint8), torch.zeros(1, len(CLASSES))
    assert heads(maps, labels, known) == 0
    known[0, CLASSES.index("water")] = 1
    water = heads(maps, labels, known)
    assert water > 0
    labels[:] = LABELS["road"][0]
    assert heads(maps, labels, known) != water
    labels[:] = IGNORE
    assert heads(maps, labels, known) == 0


def test_the_encoder_alone_is_the_encoder_without_language() -> None:
    config = RrsisConfig.load(Path(__file__).parents[1] / "configs" / "lgce-small.json")
    net = Rrsis(config).eval()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        alone = net.model.backbone.encodings(image)
        _, fused = net.model.backbone.maps_and_encodings(image, torch.randn(1, 4, 384), torch.ones(1, 4))
    assert [tuple(a.shape) for a in alone] == [tuple(f.shape) for f in fused]
    assert torch.allclose(alone[0], fused[0], atol=1e-5), "stage 1 sees no language"
    assert not torch.allclose(alone[1], fused[1], atol=1e-5)


def test_every_parameter_learns_at_one_rate() -> None:
    net = Rrsis(RrsisConfig.load(Path(__file__).parents[1] / "configs" / "lgce-small.json"))
    groups = parameter_groups(net.model.named_parameters(), 0.05, 0.3)
    assert sum(len(g["params"]) for g in groups) == len(list(net.model.parameters()))
    slow = {id(p) for g in groups if g["rate"] == 0.3 for p in g["params"]}
    names = {n for n, p in net.model.named_parameters() if id(p) in slow}
    assert names == {n for n, _ in net.model.named_parameters()
                     if n.startswith("backbone") and not any(part in n for part in ("fusion", "res_gate", "backbone.norm"))}


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
