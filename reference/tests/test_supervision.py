"""What the encoder is asked for beside the masks.

    python reference/tests/test_supervision.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from expressions import WORDS  # noqa: E402
from rrsis_twin import Rrsis, RrsisConfig  # noqa: E402
from rrsis_twin.config import BertConfig, LgceConfig  # noqa: E402
from supervision import ConceptHeads, concepts  # noqa: E402

DIMS = [8, 16, 32, 64]


def encodings(batch: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, d, 16 >> i, 16 >> i) for i, d in enumerate(DIMS)]


def test_a_concept_is_known_by_all_its_wordings() -> None:
    names = list(WORDS)
    asked = concepts(["water", "all the lakes", "building along the road", "tennis court"])
    assert asked.tolist() == [names.index("water"), names.index("water"), -1, names.index("tennis court")]


def test_only_known_pixels_of_named_concepts_count() -> None:
    heads, maps = ConceptHeads(DIMS), encodings(2)
    targets = torch.zeros(2, 64, 64, dtype=torch.uint8)
    targets[:, :32] = 1
    asked = concepts(["water", "building along the road"])
    loss = heads(maps, asked, targets)
    changed = targets.clone()
    changed[1] = 1 - changed[1]  # what the relation refers to teaches no concept
    assert torch.equal(heads(maps, asked, changed), loss)
    changed = targets.clone()
    changed[0, 32:] = 255
    assert not torch.equal(heads(maps, asked, changed), loss)
    changed[:] = 255
    assert heads(maps, asked, changed) == 0


def test_the_gradient_of_the_masks_is_attenuated_and_the_output_is_not() -> None:
    config = RrsisConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], window=4, bert=BertConfig(hidden_size=12),
                         lgce=LgceConfig(depths=[1, 1], heads=[2, 2]), decoder_hidden=8, max_tokens=4, image_size=64)
    torch.manual_seed(0)
    config.bert.num_hidden_layers = 1
    config.bert.num_attention_heads = 2
    config.bert.vocab_size = 10
    net = Rrsis(config).model.train()
    image, lang, mask = torch.randn(2, 3, 64, 64), torch.randn(2, 4, 12), torch.ones(2, 4, dtype=torch.long)
    norms, outputs = [], []
    for part in (1.0, 0.1):
        net.backbone.mask_gradient = part
        net.zero_grad()
        out = net.low_resolution(image, lang, mask)
        out.square().mean().backward()
        norms.append(net.backbone.layers[3].blocks[0].mlp.fc1.weight.grad.norm())
        outputs.append(out)
    assert torch.allclose(outputs[0], outputs[1], atol=1e-5)
    assert torch.allclose(norms[1], 0.1 * norms[0], rtol=1e-3)


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
