"""Teach the encoder to see before it is asked for masks: what a CNN sees, and which class stands where, without language.

    python pretrain.py --data DATA --out RUN/encoder.pth --config configs/lgce-small.json --minutes 4

From random weights the masks' gradient teaches stages 3 and 4 nothing (docs/training-log.md, run 7); the paper begins with an encoder
that was trained on ImageNet. Here every scene lies in the accelerator's memory and crops are cut, turned and recoloured there, since an
encoder alone reads more crops a second than processes could make. `train.py --init` goes on from what this writes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from aerial import SCALE, normalise
from augment import IGNORE
from expressions import LABELS
from precision import halves
from rrsis_twin import Rrsis, RrsisConfig
from teacher import Distillation, Teacher
from train import learning_rate, parameter_groups, save, set_drop_path

#: what the encoder is asked for at every position; vehicles first together, then apart
CLASSES = ["building", "vehicle", "car", "bus", "road", "vegetation", "water", "bare land"]
#: side of a cell of the atlas, pixels; larger images are made smaller
CELL = 768
#: sources whose scenes are drawn by the square root of their number; tiles without labels among them
UNLABELLED = "unlabelled"


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with train/ and, for more to see, unlabelled/")
    p.add_argument("--out", type=Path, required=True, help="the checkpoint")
    p.add_argument("--config", type=Path, required=True)
    p.add_argument("--teacher", type=Path, help="weights of the CNN; else those in its package")
    p.add_argument("--minutes", type=float, required=True, help="wall-clock budget, reading the scenes included; the schedule follows it")
    p.add_argument("--crops", type=int, default=256, help="crops a step")
    p.add_argument("--size", type=int, default=256, help="side of a crop, pixels")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--weight-decay", type=float, default=0.05)
    p.add_argument("--warm-up", type=int, default=150, help="steps")
    p.add_argument("--drop-path", type=float, default=0.1)
    p.add_argument("--distill", type=float, default=4.0, help="weight of the CNN's features beside that of the classes")
    p.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False, help="a minute to start, then about twice as fast")
    p.add_argument("--limit", type=int, help="read only so many images (for a try)")
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


@dataclass
class Atlas:
    """All scenes, one a cell, in the accelerator's memory."""

    images: list[Tensor]  # 8-bit RGB (N, CELL, CELL, 3), and again at half the size
    labels: Tensor  # (N, CELL, CELL), IGNORE beyond a scene's edge
    extent: Tensor  # (N, 2): height and width in use
    known: Tensor  # (N, classes): 1 where a class is labelled throughout
    weight: Tensor  # (N,): how often a scene is drawn
    scale: Tensor  # (N, 3): (mean, low, high) of a crop's scale, aerial.SCALE


def read_atlas(data: Path, device: str, limit: int | None) -> Atlas:
    paths = sorted((data / "train").glob("*/*.jpg")) + sorted((data / "unlabelled").glob("*/*.jpg"))
    paths = paths[:: max(1, len(paths) // limit)] if limit else paths
    n = len(paths)
    full, half = (np.zeros((n, s, s, 3), np.uint8) for s in (CELL, CELL // 2))
    labels = np.full((n, CELL, CELL), IGNORE, np.uint8)
    extent, known, scale = np.zeros((n, 2), int), np.zeros((n, len(CLASSES)), np.float32), np.zeros((n, 3))

    def read(i: int) -> str:
        path = paths[i]
        image = Image.open(path).convert("RGB")
        image.thumbnail((CELL, CELL))
        w, h = image.size
        extent[i] = h, w
        full[i, :h, :w] = np.asarray(image)
        half[i, : h // 2, : w // 2] = np.asarray(image.resize((w // 2, h // 2), Image.BOX))
        source = path.parent.name if path.parent.parent.name == "train" else UNLABELLED
        scale[i] = SCALE.get(source, (0.0, -0.9, 0.9))
        if source != UNLABELLED:
            labels[i, :h, :w] = np.asarray(Image.open(path.with_suffix(".png")).resize((w, h), Image.NEAREST))
            annotated = json.loads(path.with_suffix(".json").read_text())["annotated"]
            known[i] = [c in annotated or c == "vehicle" and "car" in annotated for c in CLASSES]
        return source

    with ThreadPoolExecutor() as pool:
        sources = list(pool.map(read, range(n)))
    count = {s: sources.count(s) for s in sources}
    weight = torch.tensor([count[s] ** -0.5 for s in sources])
    put = lambda a: torch.as_tensor(a).to(device)  # noqa: E731
    return Atlas([put(full), put(half)], put(labels), put(extent), put(known), put(weight), put(scale).float())


def between(low: float, high: float, shape: tuple[int, ...], device) -> Tensor:
    return low + (high - low) * torch.rand(shape, device=device)


def sometimes(chance: float, changed: Tensor, x: Tensor) -> Tensor:
    """`changed` for that share of the samples, `x` for the others."""
    return torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < chance, changed, x)


def positions(atlas: Atlas, index: Tensor, size: int, full_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where crops of (B,) scenes lie: y and x in pixels of the cell (B, size, size), and pixels of the cell a pixel of the crop (B,)."""
    device, b = index.device, len(index)
    extent = atlas.extent[index].float()
    mean, low, high = atlas.scale[index].unbind(1)
    spread = torch.where(torch.rand(b, device=device) < 0.7, mean + 0.3 * torch.randn(b, device=device), low + (high - low) * torch.rand(b, device=device))
    aspect = 0.12 * torch.randn(b, device=device)
    sides = []
    for side, sign in ((extent[:, 0], -0.5), (extent[:, 1], 0.5)):
        enlarged = (full_size / side * torch.exp(spread + sign * aspect)).clamp(0.35, 3.0)
        sides.append(torch.minimum(side, (size / enlarged).clamp(min=32)))
    centre = [s / 2 + torch.rand(b, device=device) * (e - s) for s, e in zip(sides, extent.unbind(1), strict=True)]
    quarter = torch.randint(0, 4, (b,), device=device) * (math.pi / 2)
    angle = quarter + torch.where(torch.rand(b, device=device) < 0.3, between(0, math.pi / 2, (b,), device), torch.zeros(b, device=device))
    flip = torch.where(torch.rand(b, device=device) < 0.5, -1.0, 1.0)
    line = (torch.arange(size, device=device) + 0.5) / size - 0.5
    v, u = torch.meshgrid(line, line, indexing="ij")
    cos, sin = (f(angle)[:, None, None] for f in (torch.cos, torch.sin))
    u = u[None] * flip[:, None, None]
    y, x = sin * u + cos * v, cos * u - sin * v
    return y * sides[0][:, None, None] + centre[0][:, None, None], x * sides[1][:, None, None] + centre[1][:, None, None], (sides[0] + sides[1]) / (2 * size)


def cut(atlas: Atlas, size: int, crops: int, full_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """-> crops in 0..1 (B, 3, size, size), their label maps (B, size, size), what is known of them (B, classes)."""
    index = torch.multinomial(atlas.weight, crops, replacement=True)
    y, x, step = positions(atlas, index, size, full_size)
    extent = atlas.extent[index]
    inside = (y >= 0) & (x >= 0) & (y < extent[:, :1, None]) & (x < extent[:, 1:, None])
    cell = index[:, None, None]
    row, column = (p.long().clamp(0, CELL - 1) for p in (y, x))
    labels = torch.where(inside, atlas.labels[cell, row, column], IGNORE)
    found = []
    # Half the size where a crop shows more than it has pixels for.
    for level, image in enumerate(atlas.images):
        side, limit = CELL >> level, (extent >> level) - 1
        py, px = (p / (1 << level) - 0.5 for p in (y, x))
        y0, x0 = py.floor(), px.floor()
        fy, fx = ((p - p0)[..., None] for p, p0 in ((py, y0), (px, x0)))
        ends = []
        for dy in (0, 1):
            ry = torch.minimum((y0.long() + dy).clamp(0, side - 1), limit[:, :1, None])
            row_of = [image[cell, ry, torch.minimum((x0.long() + dx).clamp(0, side - 1), limit[:, 1:, None])].float() for dx in (0, 1)]
            ends.append(torch.lerp(row_of[0], row_of[1], fx))
        found.append(torch.lerp(ends[0], ends[1], fy))
    pixels = torch.where((step > 1.4)[:, None, None, None], found[1], found[0]) / 255 * inside[..., None]
    return pixels.permute(0, 3, 1, 2), labels, atlas.known[index]


def recoloured(x: Tensor) -> Tensor:
    """Colour, contrast, haze, sharpness and noise, as `augment.photometric` has them, for a batch in 0..1."""
    b, device = len(x), x.device
    one, three = (b, 1, 1, 1), (b, 3, 1, 1)
    small = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    x = sometimes(0.25, torch.lerp(x, small, between(0.3, 1, one, device)), x)
    x = sometimes(0.2, x + (x - small) * between(0.3, 1.2, one, device), x)
    mean, std = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True) + 0.02
    other = torch.randperm(b, device=device)
    moved = (x - mean) / std * std[other].clamp(0.08, 0.3) + mean[other].clamp(0.25, 0.7)
    x = sometimes(0.35, torch.lerp(x, moved, between(0.4, 1, one, device)), x)
    y = x.clamp(0, 1) ** between(0.65, 1.5, one, device)
    mean = y.mean((2, 3), keepdim=True)
    y = (y - mean) * between(0.6, 1.4, one, device) + mean * between(0.75, 1.25, one, device)
    grey = y.mean(1, keepdim=True)
    y = (grey + (y - grey) * between(0.4, 1.5, one, device)) * between(0.87, 1.15, three, device)
    y = sometimes(0.15, torch.lerp(y, between(0.6, 0.9, one, device).expand_as(y), between(0.05, 0.3, one, device)), y)
    x = sometimes(0.85, y, x)
    x = sometimes(0.2, x + torch.randn_like(x) * between(0.005, 0.04, one, device), x)
    return x.clamp(0, 1)


class ClassHeads(nn.Module):
    """A linear classifier of every class at every position of stages 2 to 4."""

    def __init__(self, dims: list[int]):
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(d, len(CLASSES), 1) for d in dims[1:])

    def forward(self, encodings: list[Tensor], labels: Tensor, known: Tensor) -> Tensor:
        """encodings of stages 1..4, (B, C_i, H_i, W_i); labels (B, H, W); known (B, classes): what `labels` tells of."""
        visible = (labels != IGNORE)[:, None].float()
        there = torch.stack([torch.isin(labels, torch.tensor(LABELS[c], device=labels.device)) for c in CLASSES], 1).float() * visible
        losses = []
        for head, x in zip(self.heads, encodings[1:], strict=True):
            share = F.adaptive_avg_pool2d(visible, x.shape[2:])
            target = F.adaptive_avg_pool2d(there, x.shape[2:]) / share.clamp(min=1e-6)
            x = F.layer_norm(x.float().permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
            loss = F.binary_cross_entropy_with_logits(head(x), target, reduction="none") * share * known[:, :, None, None]
            losses.append(loss.sum() / (share * known[:, :, None, None]).sum().clamp(min=1))
        return sum(losses) / len(losses)


def main() -> None:
    started = time.monotonic()
    o = options()
    torch.manual_seed(o.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = Rrsis(RrsisConfig.load(o.config))
    encoder = net.model.backbone.to(device)
    set_drop_path(encoder, o.drop_path)
    teacher, distillation, heads = Teacher(device, o.teacher), Distillation(net.config.dims).to(device), ClassHeads(net.config.dims).to(device)
    learned = nn.ModuleList([encoder, distillation, heads])
    optimiser = torch.optim.AdamW(parameter_groups(learned.named_parameters(), o.weight_decay), lr=o.lr, betas=(0.9, 0.98), fused=True)
    atlas = read_atlas(o.data, device, o.limit)
    print(f"{len(atlas.weight)} images, {device}, ready after {time.monotonic() - started:.0f} s", flush=True)
    encoder.train()
    encode = torch.compile(encoder.encodings, dynamic=False) if o.compile else encoder.encodings
    step, sums, logged = 0, torch.zeros(4, device=device), time.monotonic()
    while (done := (time.monotonic() - started) / (60 * o.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(o.lr, step, o.warm_up, done, 0.02)
        with torch.no_grad():
            clean, labels, known = cut(atlas, o.size, o.crops, net.config.image_size)
            seen, clean = (normalise(255 * x).contiguous(memory_format=torch.channels_last) for x in (recoloured(clean), clean))
        with halves(device):
            encodings = encode(seen)
        by_cnn, by_class = distillation(encodings, teacher(clean)), heads(encodings, labels, known)
        optimiser.zero_grad(set_to_none=True)
        (o.distill * by_cnn + by_class).backward()
        norm = nn.utils.clip_grad_norm_(learned.parameters(), 1.0)
        optimiser.found_inf = (~torch.isfinite(norm)).float()
        optimiser.step()
        step += 1
        sums += torch.stack([by_cnn.detach(), by_class.detach(), norm, encodings[-1].detach().float().std()])
        if step % 50 == 0:
            cnn, classes, gradient, deep = (v / 50 for v in sums.tolist())
            print(f"step {step} {100 * done:.1f} % cnn {cnn:.4f} classes {classes:.4f} grad {gradient:.3f} stage 4 {deep:.3f} "
                  f"{50 * o.crops / (time.monotonic() - logged):.0f} crops/s", flush=True)
            logged = time.monotonic()
            sums.zero_()
    o.out.parent.mkdir(parents=True, exist_ok=True)
    save(o.out, net.checkpoint(step, {k: str(v) for k, v in vars(o).items() if k not in ("data", "out", "config", "teacher")}))
    print(f"finished at step {step}", flush=True)


if __name__ == "__main__":
    main()
