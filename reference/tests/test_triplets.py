"""What a crop of triplets may ask for.

    python reference/tests/test_triplets.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from triplets import Triplet, TripletScene, TripletSampler, teaches  # noqa: E402


def triplet(expression: str, kind: str) -> Triplet:
    return Triplet(expression, kind, Path("mask.png"), None, np.zeros((1, 2), int))


def test_relations_need_a_subject_that_comes_in_objects() -> None:
    assert teaches(triplet("building along the road", "relation"))
    assert teaches(triplet("car driving on the road", "relation"))
    assert teaches(triplet("water", "category"))
    assert not teaches(triplet("bare land beside the water", "relation"))
    assert not teaches(triplet("road along the water", "relation"))


def test_scenes_keep_what_teaches_and_go_where_nothing_does() -> None:
    mixed = TripletScene("a", "s", Path("a.jpg"), [triplet("water", "category"), triplet("water beside the road", "relation")])
    empty = TripletScene("b", "s", Path("b.jpg"), [triplet("vegetation along the road", "relation")])
    sampler = TripletSampler([mixed, empty])
    assert [[t.expression for t in s.triplets] for s in sampler.scenes] == [["water"]]


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
