"""A convolutional encoder beside a trained network: the same answers at first, published weights, and nothing but its own part learns.

    python reference/tests/test_join.py
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "reference"))

from join import RATES, groups, learned, with_cnn  # noqa: E402
from make_goldens import CONFIG  # noqa: E402
from rrsis_twin import Rrsis, RrsisConfig  # noqa: E402
from rrsis_twin.cnn import Cnn  # noqa: E402
from rrsis_twin.config import CnnConfig  # noqa: E402


def published() -> dict[str, torch.Tensor]:
    """Under the names of the package, drawn; batch norms with statistics of their own."""
    torch.manual_seed(1)
    tensors, cnn = {}, Cnn(CnnConfig())

    def add(conv: torch.nn.Conv2d, name: str, norm: str) -> None:
        n = conv.out_channels
        tensors[f"{name}.weight"] = torch.randn(conv.weight.shape) / conv.weight[0].numel() ** 0.5
        tensors[f"{norm}.weight"], tensors[f"{norm}.bias"] = torch.rand(n) + 0.5, torch.randn(n)
        tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"] = torch.randn(n), torch.rand(n) + 0.5

    add(cnn.stem, "_conv_stem", "_bn0")
    for i, block in enumerate(cnn.blocks):
        if block.expand is not None:
            add(block.expand, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        add(block.depthwise, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        add(block.project, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
    return tensors


def network() -> Rrsis:
    torch.manual_seed(0)
    return Rrsis(RrsisConfig.from_dict(CONFIG)).eval()


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.tensor([[101, 2311, 102, 0], [101, 2300, 2346, 102]])
    return torch.randn(1, 3, 64, 64), ids, (ids > 0).long()


@torch.no_grad()
def test_it_answers_as_before_until_it_learns() -> None:
    net = network()
    joined = with_cnn(net, published())
    image, ids, mask = inputs()
    before = net(image, ids, mask)
    assert before.shape == (2, 2, 64, 64)
    torch.testing.assert_close(joined(image, ids, mask), before)
    # Only a decoder that says nothing makes them equal.
    torch.nn.init.normal_(joined.model.cnn_decoder.out.weight)
    assert (joined(image, ids, mask) - before).abs().max() > 1e-3


@torch.no_grad()
def test_norms_are_folded_into_the_convolutions() -> None:
    tensors = published()
    joined = with_cnn(network(), tensors)
    stem = torch.nn.functional.conv2d(torch.nn.functional.pad(image := torch.randn(1, 3, 64, 64), (0, 1, 0, 1)), tensors["_conv_stem.weight"], stride=2)
    stem = torch.nn.functional.batch_norm(stem, *(tensors[f"_bn0.{k}"] for k in ("running_mean", "running_var", "weight", "bias")), eps=1e-3)
    torch.testing.assert_close(joined.model.cnn.stem(image), stem, rtol=1e-4, atol=1e-4)


def test_maps_have_the_sizes_of_swins() -> None:
    joined = with_cnn(network(), published())
    for h, w in ((64, 64), (58, 75)):
        image = torch.randn(1, 3, h, w)
        _, ids, mask = inputs()
        maps = joined.model.backbone(image, joined.bert_model(ids, mask), mask)
        seen = joined.model.cnn(image)
        assert [m.shape[2:] for m in maps] == [x.shape[2:] for x in seen]
        assert [x.shape[1] for x in seen] == [24, 40, 112, 192]


def test_only_the_cnn_and_its_decoder_learn() -> None:
    joined = with_cnn(network(), published())
    joined.requires_grad_(False)
    these = learned(joined.model)
    for _, parameter in these:
        parameter.requires_grad_(True)
    assert not any(name.startswith("backbone.") for name, _ in these)
    learning = groups(these, 0.1)
    assert sum(len(g["params"]) for g in learning) == len(these)
    assert {g["rate"] for g in learning} == {RATES[k] for k in ("cnn.", "cnn_decoder.")}
    joined(*inputs()).square().mean().backward()
    assert all(p.grad is not None for _, p in these)
    assert all(p.grad is None for name, p in joined.named_parameters() if not name.startswith(("model.cnn.", "model.cnn_decoder.")))


def test_a_configuration_survives_its_file() -> None:
    config = replace(RrsisConfig(), cnn=CnnConfig())
    assert RrsisConfig.from_dict(config.to_dict()) == config
    assert RrsisConfig.from_dict(RrsisConfig().to_dict()).cnn is None


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
