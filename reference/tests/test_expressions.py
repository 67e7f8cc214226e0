"""The wordings of training stay apart from those that measure it.

    python reference/tests/test_expressions.py
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "reference"))

from expressions import WORDS, all_expressions, draw  # noqa: E402
from triplets import reworded  # noqa: E402


def test_no_paraphrase_is_trained_on() -> None:
    test = {p for wordings in json.loads((ROOT / "configs/paraphrases.json").read_text()).values() for p in wordings}
    assert len(test) >= 100
    assert not (trained := test & set(all_expressions())), f"in configs/paraphrases.json and in training: {sorted(trained)}"


def test_what_is_drawn_is_known() -> None:
    rng, known = random.Random(0), set(all_expressions())
    assert all(draw(c, rng) in known for c in WORDS for _ in range(200))


def test_a_relation_keeps_its_reference() -> None:
    rng = random.Random(0)
    said = {reworded("building along the road", rng) for _ in range(300)}
    assert len(said) > 10
    assert all(any(w in s for w in WORDS["road"][:3]) for s in said), said


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
