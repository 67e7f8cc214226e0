"""Train the twin on aerial scenes with category expressions; BERT stays frozen. Resumable, CPU or CUDA.

    python train.py --data DATA --minilm MINILM --out RUN --config configs/rrsis-small.json --minutes 90
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from aerial import Batches, CropSampler, Pair, absent_pairs, cutouts, iou, load_split, normalise, tensor, triplet_pairs, validation_pairs
from augment import IGNORE
from expressions import TextFeatures
from rrsis_twin import Rrsis, RrsisConfig
from rrsis_twin.bert import load_minilm
from rrsis_twin.decoder import upsample
from teacher import Distillation, Teacher
from triplets import TripletSampler, load_triplets

VALIDATED = ["building", "vegetation", "water", "road", "car"]


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    p.add_argument("--out", type=Path, required=True, help="run folder: log.txt is the caller's; last.pth, best.pth, state.pth")
    p.add_argument("--config", type=Path, required=True)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--minilm", type=Path, help="folder with model.safetensors and tokenizer.json")
    source.add_argument("--features", type=Path, help="features.pth of pack.py; the checkpoints then lack the text encoder (see attach.py)")
    p.add_argument("--workers", type=int, default=0, help="processes that make batches; 0 makes them in this one, and a resumed run goes on exactly")
    p.add_argument("--resume", action="store_true")
    budget = p.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int)
    budget.add_argument("--minutes", type=float, help="wall-clock budget, start-up and validation included; the schedule follows it")
    p.add_argument("--images", type=int, default=6, help="crops a step at the first crop size")
    p.add_argument("--per-image", type=int, default=2, help="expressions a crop")
    p.add_argument("--crop", type=int, default=256)
    p.add_argument("--late-crop", type=int, default=512, help="crop size of the last part")
    p.add_argument("--late-part", type=float, default=0.15)
    p.add_argument("--lr", type=float, default=6e-4)
    p.add_argument("--weight-decay", type=float, default=0.02)
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--compile", action="store_true", help="torch.compile the first crop size: minutes to start, then twice as fast on a CPU")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--validate-minutes", type=float, default=11)
    p.add_argument("--save-minutes", type=float, default=5)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--triplets", action="append", default=[], metavar="DIR=SHARE",
                   help="data set in the RefSegRS layout and its share of the crops; `best` is chosen on the first val split among them")
    p.add_argument("--distill", type=float, default=0.0, help="weight of the encoder's second target, what a CNN sees (teacher.py)")
    p.add_argument("--pairs", type=Path, help="folder in the RefSegRS layout that is validated on, too (never trained on)")
    p.add_argument("--init", type=Path, help="checkpoint to start from (weights only)")
    return p.parse_args()


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """No decay on norms, biases and position-bias tables."""
    decay, rest = [], []
    for name, p in net.named_parameters():
        (rest if p.ndim == 1 or "relative_position_bias_table" in name else decay).append(p)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with the paper's class weights, plus dice over the samples whose target is present; where it is absent, the hundredth
    of the pixels that look most like it counts once more: a mask is empty only if nothing in it is marked."""
    weight = logits.new_tensor([0.9, 1.1])
    ce = F.cross_entropy(logits, targets.long(), weight, ignore_index=IGNORE)
    known = (targets != IGNORE).float()
    t = (targets == 1).float()
    p = torch.sigmoid(logits[:, 1] - logits[:, 0]) * known
    overlap, total = (p * t).sum((1, 2)), p.sum((1, 2)) + t.sum((1, 2))
    present = t.sum((1, 2)) > 0
    dice = 1 - (2 * overlap[present] + 1) / (total[present] + 1)
    loss = ce + (0.5 * dice.mean() if present.any() else 0.0)
    if not present.all():
        margins = (logits[:, 1] - logits[:, 0]).masked_fill(targets == IGNORE, -30.0)[~present].flatten(1)
        worst = margins.topk(margins.shape[1] // 100, dim=1).values
        loss = loss + 0.25 * (~present).float().mean() * F.softplus(worst).mean()
    return loss


@torch.no_grad()
def predict(net: Rrsis, text: TextFeatures, image, expression: str, device: str) -> np.ndarray:
    """As in the product: resize to the square, logits back to the image's size, tie = background."""
    n = net.config.image_size
    square = image if image.size == (n, n) else image.resize((n, n), 2)
    lang, mask = text([expression])
    with torch.autocast(device, torch.bfloat16):
        logits = net.model(normalise(tensor(square)[None].to(device)), lang, mask)
    logits = F.interpolate(logits.float(), size=image.size[::-1], mode="bilinear", align_corners=False)
    return (logits[0, 1] > logits[0, 0]).cpu().numpy()


def labelled_pairs(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """Present and absent targets of a folder in the RefSegRS layout; the concept is "pairs"."""
    pairs = []
    for line in next(folder.glob("output_phrase_*.txt")).read_text().splitlines():
        name, expression = line.split(" ", 1)
        image = Image.open(next((folder / "images").glob(f"{name}.*"))).convert("RGB")
        mask = (np.asarray(Image.open(next((folder / "masks").glob(f"{name}.*"))).convert("L")) > 0).astype(np.uint8)
        pairs.append(Pair(SimpleNamespace(image=image), "pairs", expression, mask))
    return [p for p in pairs if p.mask.any()], [p for p in pairs if not p.mask.any()]


def validate(net: Rrsis, text: TextFeatures, pairs: list[Pair], absent: list[Pair], device: str) -> dict[str, float]:
    """Mean IoU a class and over all samples, and the share of absent targets left empty (under 0.1 % of the pixels)."""
    net.eval()
    scores: dict[str, list[float]] = {}
    for pair in pairs:
        inter, union = iou(predict(net, text, pair.scene.image, pair.expression, device), pair.mask)
        scores.setdefault(pair.concept, []).append(inter / union if union else 0.0)
    empty = [predict(net, text, pair.scene.image, pair.expression, device).mean() < 0.001 for pair in absent]
    return {k: float(np.mean(v)) for k, v in scores.items()} | {"mean": float(np.mean(sum(scores.values(), []))), "empty": float(np.mean(empty))}


def save(path: Path, value: dict) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(value, temporary)
    os.replace(temporary, path)


def main() -> None:
    started = time.monotonic()
    o = options()
    o.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rng = random.Random(o.seed)

    net = Rrsis(RrsisConfig.load(o.config))
    if o.init:
        net.model.load_state_dict(Rrsis.from_checkpoint(o.init).model.state_dict())
    text = TextFeatures(None, None, net.config.max_tokens, device)
    if o.features:
        net.bert_model = None
        text.load(o.features)
    else:
        net.bert_model = load_minilm(net.config.bert, o.minilm)
        text = TextFeatures(net.bert_model, o.minilm / "tokenizer.json", net.config.max_tokens, device)
    net.model.to(device)
    ema = copy.deepcopy(net)
    distillation = Distillation(net.config.dims).to(device) if o.distill else nn.Module()
    teacher = Teacher(device) if o.distill else None
    learned = nn.ModuleList([net.model, distillation])
    optimiser = torch.optim.AdamW(parameter_groups(learned, o.weight_decay), lr=o.lr, betas=(0.9, 0.98), foreach=True)
    step, elapsed_before, best, history = 0, 0.0, -1.0, []
    if o.resume and (o.out / "state.pth").exists():
        state = torch.load(o.out / "state.pth", map_location=device, weights_only=False)
        net.model.load_state_dict(state["model"])
        if o.distill:
            distillation.load_state_dict(state["distillation"])
        ema.model.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        rng.setstate(state["rng"])
        step, elapsed_before, best, history = (state[k] for k in ("step", "elapsed", "best", "history"))
        print(f"resumed at step {step}, {elapsed_before / 60:.1f} min, best {best:.4f}", flush=True)

    scenes = load_split(o.data, "train")
    folders = [(Path(folder), float(share)) for folder, share in (t.rsplit("=", 1) for t in o.triplets)]
    triplets = [(TripletSampler(load_triplets(folder, "train")), share) for folder, share in folders]
    sampler = CropSampler(scenes, rng, net.config.image_size, o.per_image, cutouts(scenes, o.data / "train"), triplets)
    validated_on = [folder for folder, _ in folders if (folder / "output_phrase_val.txt").exists()]
    if validated_on:
        pairs, absent = triplet_pairs(load_triplets(validated_on[0], "val"), 120)
    else:
        held_out = load_split(o.data, "val")
        pairs, absent = validation_pairs(held_out, VALIDATED, 14), absent_pairs(held_out, 30)
    if o.pairs:
        more, nothing = labelled_pairs(o.pairs)
        pairs, absent = pairs + more, absent + nothing
    print(f"{sum(p.numel() for p in net.model.parameters()) / 1e6:.2f} M trainable parameters, {device}, "
          f"{len(pairs)} validation pairs, ready after {time.monotonic() - started:.0f} s", flush=True)

    stop: list[int] = []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda number, _frame: stop.append(number))

    def elapsed() -> float:
        return elapsed_before + time.monotonic() - started

    def prepared(pixels: Tensor) -> Tensor:
        return normalise(pixels.to(device, non_blocking=True)).contiguous(memory_format=torch.channels_last)

    def progress() -> float:
        return min(1.0, step / o.steps if o.steps else elapsed() / (60 * o.minutes))

    def checkpoint() -> dict:
        args = {k: str(v) for k, v in vars(o).items() if k not in ("data", "out", "config", "minilm", "features", "init", "pairs")}
        return ema.checkpoint(step, args | {"validation": history[-1] if history else {}})

    def save_state() -> None:
        save(o.out / "state.pth", {"model": net.model.state_dict(), "distillation": distillation.state_dict(), "ema": ema.model.state_dict(), "optimiser": optimiser.state_dict(),
                                   "rng": rng.getstate(), "step": step, "elapsed": elapsed(), "best": best, "history": history})
        save(o.out / "last.pth", checkpoint())

    def run_validation() -> None:
        nonlocal best
        t = time.monotonic()
        result = validate(ema, text, pairs, absent, device)
        history.append({"step": step, "minutes": elapsed() / 60} | result)
        print(f"validation step {step} {elapsed() / 60:.1f} min: " + "  ".join(f"{k} {v:.3f}" for k, v in result.items())
              + f"  ({time.monotonic() - t:.0f} s)", flush=True)
        # Both count for a user: a mask that is right, and none where there is nothing.
        if (score := result["mean"] + 0.2 * result["empty"]) > best:
            best = score
            save(o.out / "best.pth", checkpoint())

    # The late crop size stays eager: its compilation would stall the short last part.
    late_forward = net.model.low_resolution_and_encodings
    forward = torch.compile(late_forward) if o.compile else late_forward
    saved = validated = logged = time.monotonic()
    running, distilled, seen, grad, made = 0.0, 0.0, 0, 0.0, None
    while (done := progress()) < 1 and not stop:
        late = done >= 1 - o.late_part
        size = o.late_crop if late else o.crop
        images = max(2, round(o.images * (o.crop / size) ** 2)) if late else o.images
        lr = o.lr * (min(1.0, (step + 1) / 150) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))))
        for group in optimiser.param_groups:
            group["lr"] = lr
        net.model.train()
        if made is None or made[0] != size:
            made = size, iter(DataLoader(Batches(sampler, images, size, o.seed + step), None, num_workers=o.workers, prefetch_factor=4 if o.workers else None))
        pixels, clean, expressions, targets = next(made[1])
        pixels = prepared(pixels)
        lang, mask = text(expressions)
        with torch.autocast(device, torch.bfloat16):
            low, encodings = (late_forward if late else forward)(pixels, lang, mask)
        loss = loss_of(upsample(low.float(), targets.shape[1:]), targets.to(device))
        if teacher:
            seen_by_cnn = distillation(encodings, teacher(prepared(clean)))
            distilled += float(seen_by_cnn.detach())
            loss = loss + o.distill * seen_by_cnn
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(learned.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        step += 1
        decay = min(o.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(ema.model.state_dict().values(), net.model.state_dict().values(), strict=True):
                a.lerp_(b, 1 - decay) if a.is_floating_point() else a.copy_(b)
        running, seen, grad = running + loss.item(), seen + len(expressions), grad + float(norm)
        now = time.monotonic()
        if step % 50 == 0:
            print(f"step {step} {elapsed() / 60:.1f} min {100 * done:.1f} % crop {size} loss {running / 50:.4f} cnn {distilled / 50:.3f} grad {grad / 50:.2f} "
                  f"lr {lr:.2e} {seen / (now - logged):.1f} samples/s", flush=True)
            running, distilled, seen, grad, logged = 0.0, 0.0, 0, 0.0, now
        if now - validated > 60 * o.validate_minutes:
            run_validation()
            validated = logged = time.monotonic()
            seen = 0
        if now - saved > 60 * o.save_minutes:
            save_state()
            saved = time.monotonic()
    if not stop:
        run_validation()
    save_state()
    print(f"{'stopped' if stop else 'finished'} at step {step}, best {best:.4f}", flush=True)


if __name__ == "__main__":
    main()
