"""Weights come back from a model directory as they went in.

    python tests/test_restore.py
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from restore import GROUP, from_four_bits, read_burnpack  # noqa: E402

MODEL = Path(__file__).resolve().parent.parent.parent / "models/rrsis-small"


def test_four_bits_are_two_neighbours_of_a_row_in_a_byte() -> None:
    codes = torch.tensor([[0x80, 0xF1], [0x9C, 0x08]])
    values = torch.tensor([[-8.0, 0, -7, 7], [4, 1, 0, -8]])
    of_columns = torch.tensor([[1.0, 2, 0.5, -1]])
    assert torch.equal(from_four_bits(codes, of_columns), values * of_columns)
    of_rows = torch.tensor([[3.0], [0.5]])
    assert torch.equal(from_four_bits(codes, of_rows), values * of_rows)


def test_every_group_has_a_scale_of_its_own() -> None:
    codes = torch.full((GROUP + 3, 2), 0x99)
    scales = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    found = from_four_bits(codes, scales)
    assert torch.equal(found[:GROUP], scales[:1].expand(GROUP, 4))
    assert torch.equal(found[GROUP:], scales[1:].expand(3, 4))


def test_the_shipped_words_are_read() -> None:
    words = read_burnpack(MODEL / "text.bpk")["word_embeddings.weight"]
    assert words.shape == (30522, 384)
    # Words that mean much the same lie close to each other: "car" and "automobile", nearer than "car" and "water".
    car, automobile, water = (words[i] for i in (2482, 9935, 2300))
    nearness = [torch.cosine_similarity(car, other, dim=0) for other in (automobile, water)]
    assert nearness[0] > nearness[1] + 0.1, nearness


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
