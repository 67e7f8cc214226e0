"""Teach a trained network relations ("building along the road"), with everything else as it is.

Stages 3 and 4 and the decoder learn; stages 1 and 2 and the language encoder stay. Relations are asked where they are (relations.py) and
learn from label maps. Whatever else is asked learns from what the network said before: a short run on label maps loses a little of
everything (docs/training-log.md, run 10). Resumable.

    python relate.py --checkpoint aligned.pth --tokenizer TOKENIZER --data DATA --out RUN --minutes 60
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from aerial import CropSampler, cutouts, load_split, normalise, tensor
from augment import IGNORE, photometric
from expressions import ELSEWHERE, LABELS, TextFeatures, draw
from pairs import held_out, validate
from precision import halves
from relations import ABSENCE_UNCERTAIN, MIN_PIXELS, PAIRINGS, certain, related
from rrsis_twin import Rrsis
from rrsis_twin.decoder import upsample
from rrsis_twin.model import Segmenter
from train import learning_rate, loss_of, parameter_groups, save
from triplets import PATTERN, TripletSampler, load_triplets, reworded

#: stages that stay as they are
LOWER = 2
#: how often one of a crop's relations is to something that is nowhere in it
NOWHERE = 0.3


def lower(net: Segmenter, image: Tensor, lang: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor, int, int]:
    """V_1, V_2 and what enters stage 3."""
    backbone = net.backbone
    x, h, w = backbone.patch_embed(image)
    maps = []
    for i in range(LOWER):
        stage = backbone.layers[i]
        x = stage.encode(x, h, w)
        if i == 0:
            x = x.repeat_interleave(lang.shape[0] // x.shape[0], 0)
        v, x, h, w = backbone.fuse(i, x, h, w, lang, mask)
        maps.append(v)
    return maps, x, h, w


def upper(net: Segmenter, maps: list[Tensor], x: Tensor, h: int, w: int, lang: Tensor, mask: Tensor) -> Tensor:
    """What comes after it -> logits (B, 2, h, w) at a quarter of the image's size."""
    backbone, maps = net.backbone, list(maps)
    for i in range(LOWER, len(backbone.layers)):
        x = backbone.layers[i].encode(x, h, w)
        v, x, h, w = backbone.fuse(i, x, h, w, lang, mask)
        maps.append(v)
    return net.classifier(maps, lang, mask)


def learned(net: Segmenter) -> list[tuple[str, nn.Parameter]]:
    own = ("classifier.", *(f"backbone.{part}{i}" for i in range(LOWER, len(net.backbone.layers)) for part in ("layers.", "norm")))
    return [(name, p) for name, p in net.named_parameters() if name.startswith(own)]


def to_nowhere(label: np.ndarray, concepts: list[str]) -> list[str]:
    """Relations of what this label map shows to something that is nowhere in it; none where a pixel is unknown."""
    if (label == IGNORE).any():
        return []
    pixels = {c: int(np.isin(label, LABELS[c]).sum()) for c in concepts}
    return [f"{s} {relation} the {r}" for relation, subjects, references in PAIRINGS for s in subjects for r in references
            if pixels.get(s, 0) >= MIN_PIXELS and pixels.get(r) == 0]


class Questions:
    """Crops and what is asked of them."""

    def __init__(self, sampler: CropSampler, per_image: int):
        self.sampler, self.per_image, self.rng = sampler, per_image, sampler.rng

    def about_relations(self, size: int) -> tuple[Image.Image, list[str], list[np.ndarray | None]]:
        """A crop where a relation has a target; all but the last expression are relations. No target: what the network said before counts."""
        rng, sampler = self.rng, self.sampler
        while True:
            first = rng.choice(list(sampler.by_relation))
            scene, points = rng.choice(sampler.by_relation[first])
            box = sampler.box(scene, size, rng.choice(points) if rng.random() < 0.9 else None)
            cut = sampler.cutter(box, size)
            label = np.array(cut(scene.label))
            found = certain(related(label, scene.concepts, scene.gsd, size / (box[2] - box[0])), scene.source)
            if found:
                break
        asked: list[tuple[str, np.ndarray | None]] = [*sampler.relations(found, self.per_image - 1, first)]
        nowhere = to_nowhere(label, [c for c in scene.concepts if c not in ABSENCE_UNCERTAIN.get(scene.source, ())])
        if nowhere and (rng.random() < NOWHERE or len(asked) < self.per_image - 1):
            asked = [*asked[:self.per_image - 2], (reworded(rng.choice(nowhere), rng), np.zeros_like(label))]
        while len(asked) < self.per_image:
            asked.append((draw(rng.choice(scene.concepts) if rng.random() < 0.8 else ELSEWHERE, rng), None))
        image = photometric(cut(scene.image, Image.BILINEAR), rng, rng.choice(sampler.scenes).palette)
        return image, [e for e, _ in asked], [t for _, t in asked]

    def about_anything(self, size: int) -> tuple[Image.Image, list[str], list[np.ndarray | None]]:
        """A crop as training draws it. "With" is an attribute's ("building with tin roof")."""
        image, _, expressions, targets = self.sampler.crop(size)
        return image, expressions, [t if PATTERN.match(e) and " with " not in e else None for e, t in zip(expressions, targets, strict=True)]

    def batches(self, images: int, share: float, size: int) -> Iterator[tuple[Tensor, list[str], Tensor, Tensor]]:
        """-> pixels, expressions, targets, and 1 for those that learn from their target."""
        empty = np.zeros((size, size), np.uint8)
        while True:
            of_relations = round(images * share)
            crops = [self.about_relations(size) if i < of_relations else self.about_anything(size) for i in range(images)]
            targets = [t for crop in crops for t in crop[2]]
            yield (torch.stack([tensor(c[0]) for c in crops]), [e for c in crops for e in c[1]],
                   torch.from_numpy(np.stack([empty if t is None else t for t in targets])), torch.tensor([float(t is not None) for t in targets]))


def kept(margins: Tensor, before: Tensor) -> Tensor:
    """How far margins (B, h, w) are from those that were: of probabilities, and of the hundredth of the pixels that was marked most."""
    loss = F.binary_cross_entropy_with_logits(margins, torch.sigmoid(before), reduction="none").flatten(1)
    at = before.flatten(1).topk(max(1, loss.shape[1] // 100), 1).indices
    return loss.mean(1) + 0.25 * loss.gather(1, at).mean(1)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True, help="folder with train/")
    p.add_argument("--triplets", action="append", default=[], metavar="DIR=SHARE", help="data set in the RefSegRS layout and its share of the other crops; the first with a val split is validated on")
    p.add_argument("--pairs", type=Path, help="folder in the RefSegRS layout that is validated on, too")
    p.add_argument("--out", type=Path, required=True, help="run folder")
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--images", type=int, default=6)
    p.add_argument("--per-image", type=int, default=4)
    p.add_argument("--share", type=float, default=0.67, help="of the crops that are asked for relations")
    p.add_argument("--keep", type=float, default=4.0, help="weight of what the network said before")
    p.add_argument("--crop", type=int, default=256)
    p.add_argument("--lr", type=float, default=3e-4)
    p.add_argument("--encoder-rate", type=float, default=0.3)
    p.add_argument("--ema", type=float, default=0.99)
    p.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--validate-minutes", type=float, default=15)
    p.add_argument("--validate", type=int, default=150)
    p.add_argument("--seed", type=int, default=0)
    o = p.parse_args()
    started = time.monotonic()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    o.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(o.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    net = Rrsis.from_checkpoint(o.checkpoint)
    text = TextFeatures(net.bert_model.to(device), o.tokenizer, net.config.max_tokens, device)
    net.model.to(device)
    # Statistics of the batch norms stay, too: these crops are not what images are like.
    net.requires_grad_(False).eval()
    teacher, ema = copy.deepcopy(net.model), copy.deepcopy(net)
    of_run = learned(net.model)
    for _, parameter in of_run:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(parameter_groups(of_run, 0.02, o.encoder_rate), lr=o.lr, betas=(0.9, 0.98))
    step, before = 0, 0.0
    if (state := o.out / "state.pth").exists():
        saved_state = torch.load(state, map_location=device, weights_only=False)
        net.model.load_state_dict(saved_state["model"])
        ema.model.load_state_dict(saved_state["ema"])
        optimiser.load_state_dict(saved_state["optimiser"])
        rng.setstate(saved_state["rng"])
        step, before = saved_state["step"], saved_state["elapsed"]

    scenes = load_split(o.data, "train")
    folders = [(Path(folder), float(share)) for folder, share in (t.rsplit("=", 1) for t in o.triplets)]
    triplets = [(TripletSampler(load_triplets(folder, "train")), share) for folder, share in folders]
    sampler = CropSampler(scenes, rng, net.config.image_size, o.per_image, cutouts(scenes, o.data / "train"), triplets)
    batches = Questions(sampler, o.per_image).batches(o.images, o.share, o.crop)
    pairs, absent = held_out([folder for folder, _ in folders], o.validate, o.pairs)
    print(f"{sum(p.numel() for _, p in of_run) / 1e6:.2f} M parameters learn; {len(sampler.by_relation)} relations; ready after {time.monotonic() - started:.0f} s", flush=True)

    def elapsed() -> float:
        return before + time.monotonic() - started

    def answer(model: Segmenter, part: tuple[list[Tensor], Tensor, int, int], lang: Tensor, mask: Tensor) -> Tensor:
        with halves(device):
            return upper(model, *part, lang, mask).float()

    def first_part(pixels: Tensor, lang: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor, int, int]:
        with torch.no_grad(), halves(device):
            return lower(net.model, pixels, lang, mask)

    def look() -> None:
        if pairs:
            result = validate(ema, text, pairs, absent, device)
            print(f"validation step {step} {elapsed() / 60:.1f} min: " + "  ".join(f"{k} {v:.3f}" for k, v in result.items()), flush=True)

    def store() -> None:
        save(o.out / "state.pth", {"model": net.model.state_dict(), "ema": ema.model.state_dict(), "optimiser": optimiser.state_dict(),
                                   "rng": rng.getstate(), "step": step, "elapsed": elapsed()})
        checkpoint = torch.load(o.checkpoint, map_location="cpu", weights_only=True)
        checkpoint["model"] = {k: v.cpu() for k, v in ema.model.state_dict().items()}
        checkpoint["args"]["relate"] = f"{step} steps of {o.images} x {o.per_image} at {o.crop}, rate {o.lr}, share {o.share}, keep {o.keep}"
        save(o.out / "last.pth", checkpoint)

    learner = torch.compile(answer, dynamic=False) if o.compile else answer
    reader = torch.compile(first_part, dynamic=False) if o.compile else first_part
    averaged = [p for _, p in learned(ema.model)]
    current = [p for _, p in of_run]
    validated = saved = time.monotonic()
    sums, read = torch.zeros(3), 0
    while (done := elapsed() / (60 * o.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(o.lr, step, 30, done) * group["rate"]
        pixels, expressions, targets, told = next(batches)
        targets, told = targets.to(device), told.to(device)
        lang, mask = text(expressions)
        part = reader(normalise(pixels.to(device)).contiguous(memory_format=torch.channels_last), lang, mask)
        with torch.no_grad():
            was = answer(teacher, part, lang, mask)
        low = learner(net.model, part, lang, mask)
        margins, were = low[:, 1] - low[:, 0], was[:, 1] - was[:, 0]
        which = told > 0
        asked = loss_of(upsample(low[which], targets.shape[1:]), targets[which]) if which.any() else low.new_zeros(())
        same = (kept(margins, were) - kept(were, were).detach())[~which].mean() if (~which).any() else low.new_zeros(())
        optimiser.zero_grad(set_to_none=True)
        (asked + o.keep * same).backward()
        norm = nn.utils.clip_grad_norm_(current, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(averaged, current, 1 - min(o.ema, (1 + step) / (10 + step)))
        sums += torch.tensor([float(asked.detach()), float(same.detach()), float(norm)])
        read += 1
        now = time.monotonic()
        if step % 50 == 0:
            print(f"step {step} {elapsed() / 60:.1f} min relations {sums[0] / read:.4f} kept {sums[1] / read:.5f} grad {sums[2] / read:.3f}", flush=True)
            sums.zero_()
            read = 0
        if now - validated > 60 * o.validate_minutes:
            look()
            validated = time.monotonic()
        if now - saved > 240:
            store()
            saved = time.monotonic()
    look()
    store()


if __name__ == "__main__":
    main()
