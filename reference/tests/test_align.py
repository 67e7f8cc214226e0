"""Other wordings: none that measures is trained on, and what is compared is what the network reads.

    python reference/tests/test_align.py
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

from align import Language, distance, pair  # noqa: E402
from expressions import FRAMES, WORDS  # noqa: E402
from rrsis_twin import Rrsis, RrsisConfig  # noqa: E402


def test_no_paraphrase_is_taught() -> None:
    test = {p for wordings in json.loads((ROOT / "configs/paraphrases.json").read_text()).values() for p in wordings}
    rng = random.Random(0)
    pairs = [pair(rng, ["building along the road"], WORDS, ["{}", *FRAMES]) for _ in range(30_000)]
    assert not (taught := test & {said for said, _ in pairs}), sorted(taught)
    kept = sum(said == wanted for said, wanted in pairs) / len(pairs)
    assert 0.3 < kept < 0.6, f"{kept} of the pairs hold what is to stay"
    said = {said for said, _ in pairs}
    assert {"house", "greenery", "building along the road"} <= said and any(s.startswith("all the ") for s in said)


def test_features_differ_where_words_do_and_padding_is_nothing() -> None:
    torch.manual_seed(0)
    net = Rrsis(RrsisConfig.load(ROOT / "reference/configs/lgce-small.json")).eval()
    width = net.config.bert.hidden_size
    words = torch.randn(3, 6, width)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]] * 3)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "a.jpg"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
        language = Language(net, [path], ["road"], lambda _: (words[:1], mask[:1]), 0)
        read = language.read(words, mask, [0, 0, 0])
        padded = words.clone()
        padded[:, 4:] = 7
        assert distance(language.read(padded, mask, [0, 0, 0]), read).max() < 1e-8
        other = words.clone()
        other[1] = torch.randn(6, width)
        found = distance(language.read(other, mask, [0, 0, 0]), read)
        assert found[1] > 0.1 and max(found[0], found[2]) < 1e-8, found


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
