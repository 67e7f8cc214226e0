"""Train the twin on aerial scenes with category expressions; BERT stays frozen. Resumable, CPU or CUDA.

    python train.py --data DATA --minilm MINILM --out RUN --config configs/lgce-small.json --minutes 90
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import random
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from aerial import Batches, CropSampler, cutouts, load_split, normalise
from augment import IGNORE
from expressions import TextFeatures
from pairs import absent_pairs, labelled_pairs, triplet_pairs, validate, validation_pairs
from precision import halves
from rrsis_twin import Rrsis, RrsisConfig
from rrsis_twin.bert import load_minilm
from rrsis_twin.decoder import upsample
from supervision import ConceptHeads, concepts
from teacher import Distillation, Teacher
from triplets import TripletSampler, load_triplets

VALIDATED = ["building", "vegetation", "water", "road", "car"]


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    p.add_argument("--out", type=Path, required=True, help="run folder: log.txt is the caller's; last.pth, best.pth, state.pth")
    p.add_argument("--config", type=Path, required=True)
    p.add_argument("--minilm", type=Path, required=True, help="folder with model.safetensors and tokenizer.json")
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
    p.add_argument("--encoder-rate", type=float, default=1.0, help="the encoder's share of the learning rate, where it can see already (pretrain.py)")
    p.add_argument("--weight-decay", type=float, default=0.02)
    p.add_argument("--drop-path", type=float, default=0.0, help="how often a branch of the encoder's last block is left out; less before it")
    p.add_argument("--warm-up", type=int, default=150, help="steps")
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False, help="torch.compile the first crop size: minutes to start, then twice as fast on a CPU")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--validate-minutes", type=float, default=11)
    p.add_argument("--save-minutes", type=float, default=5)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--triplets", action="append", default=[], metavar="DIR=SHARE",
                   help="data set in the RefSegRS layout and its share of the crops; `best` is chosen on the first val split among them")
    p.add_argument("--distill", type=float, default=0.0, help="weight of the encoder's second target, what a CNN sees (teacher.py), at first")
    p.add_argument("--concepts", type=float, default=0.0, help="weight of the encoder's third target, where each concept is (supervision.py)")
    p.add_argument("--mask-gradient", type=float, default=1.0, help="what is left of the masks' gradient where it enters a stage of the encoder")
    p.add_argument("--teacher", type=Path, help="weights of that CNN; else those in its package")
    p.add_argument("--distill-part", type=float, default=1.0, help="share of the run in which that weight falls to nothing")
    p.add_argument("--validate", type=int, default=120, help="present targets of the validation split that are looked at; a third as many absent ones")
    p.add_argument("--pairs", type=Path, help="folder in the RefSegRS layout that is validated on, too (never trained on)")
    p.add_argument("--init", type=Path, help="checkpoint to start from (weights only)")
    return p.parse_args()


def is_encoder(name: str) -> bool:
    """Whether a parameter is the Swin encoder's own: neither fusion with language nor what comes after it."""
    return "patch_embed." in name or ".blocks." in name and ".layers." in name or ".downsample." in name


def parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float, encoder_rate: float = 1.0) -> list[dict]:
    """No decay on norms, biases and position-bias tables; `rate`: the share of the learning rate that a group gets."""
    groups = {(decays, encoder): {"params": [], "weight_decay": weight_decay * decays, "rate": encoder_rate if encoder else 1.0}
              for decays in (True, False) for encoder in (True, False)}
    for name, p in parameters:
        decays = p.ndim > 1 and "relative_position_bias_table" not in name
        groups[decays, is_encoder(name)]["params"].append(p)
    return list(groups.values())


def learning_rate(most: float, step: int, warm_up: int, done: float, least: float = 0.01) -> float:
    """Up in a line over the first steps, down along a cosine to a share of `least`; `done`: the part of the run, 0 to 1."""
    return most * min(1.0, (step + 1) / warm_up) * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * done)))


def set_drop_path(encoder: nn.Module, rate: float) -> None:
    """How often a branch of the last block is left out; less before it, never in the first."""
    blocks = [block for stage in encoder.layers for block in stage.blocks]
    for i, block in enumerate(blocks):
        block.drop_path = rate * i / max(1, len(blocks) - 1)


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with the paper's class weights, plus dice over the samples whose target is present; where it is absent, the hundredth
    of the pixels that look most like it counts once more: a mask is empty only if nothing in it is marked."""
    ce = F.cross_entropy(logits, targets.long(), logits.new_tensor([0.9, 1.1]), ignore_index=IGNORE)
    margins = logits[:, 1] - logits[:, 0]
    known = (targets != IGNORE).float()
    t = (targets == 1).float()
    p = torch.sigmoid(margins) * known
    overlap, total = (p * t).sum((1, 2)), p.sum((1, 2)) + t.sum((1, 2))
    # Weights instead of a choice of samples: a choice would wait for the accelerator.
    present = (t.sum((1, 2)) > 0).float()
    dice = ((1 - (2 * overlap + 1) / (total + 1)) * present).sum() / present.sum().clamp(min=1)
    margins = margins.masked_fill(targets == IGNORE, -30.0).flatten(1)
    worst = F.softplus(margins.topk(margins.shape[1] // 100, dim=1).values).mean(1)
    return ce + 0.5 * dice + 0.25 * (worst * (1 - present)).mean()


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
    net.bert_model = load_minilm(net.config.bert, o.minilm).to(device)
    text = TextFeatures(net.bert_model, o.minilm / "tokenizer.json", net.config.max_tokens, device)
    net.model.to(device)
    set_drop_path(net.model.backbone, o.drop_path)
    ema = copy.deepcopy(net)
    net.model.backbone.mask_gradient = o.mask_gradient
    distillation = Distillation(net.config.dims).to(device) if o.distill else nn.Module()
    heads = ConceptHeads(net.config.dims).to(device)
    teacher = Teacher(device, o.teacher) if o.distill else None
    learned = nn.ModuleList([net.model, distillation, heads])
    optimiser = torch.optim.AdamW(parameter_groups(learned.named_parameters(), o.weight_decay, o.encoder_rate), lr=o.lr, betas=(0.9, 0.98), fused=True)
    step, elapsed_before, best, history = 0, 0.0, -1.0, []
    if o.resume and (o.out / "state.pth").exists():
        state = torch.load(o.out / "state.pth", map_location=device, weights_only=False)
        net.model.load_state_dict(state["model"])
        if o.distill:
            distillation.load_state_dict(state["distillation"])
        heads.load_state_dict(state["heads"])
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
        pairs, absent = triplet_pairs(load_triplets(validated_on[0], "val"), o.validate)
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
        args = {k: str(v) for k, v in vars(o).items() if k not in ("data", "out", "config", "minilm", "init", "pairs", "teacher")}
        return ema.checkpoint(step, args | {"validation": history[-1] if history else {}})

    def save_state() -> None:
        save(o.out / "state.pth", {"model": net.model.state_dict(), "distillation": distillation.state_dict(), "heads": heads.state_dict(), "ema": ema.model.state_dict(), "optimiser": optimiser.state_dict(),
                                   "rng": rng.getstate(), "step": step, "elapsed": elapsed(), "best": best, "history": history})
        save(o.out / "last.pth", checkpoint())

    def run_validation() -> None:
        nonlocal best
        t = time.monotonic()
        result = validate(ema, text, pairs, absent, device, 16 if device == "cuda" else 1)
        history.append({"step": step, "minutes": elapsed() / 60} | result)
        print(f"validation step {step} {elapsed() / 60:.1f} min: " + "  ".join(f"{k} {v:.3f}" for k, v in result.items())
              + f"  ({time.monotonic() - t:.0f} s)", flush=True)
        # Both count for a user: a mask that is right, and none where there is nothing.
        if (score := result["mean"] + 0.2 * result["empty"]) > best:
            best = score
            save(o.out / "best.pth", checkpoint())

    def forward(pixels: Tensor, lang: Tensor, mask: Tensor, asked: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        with halves(device):
            low, encodings = net.model.low_resolution_and_encodings(pixels, lang, mask)
        found = heads(encodings, asked, targets) if o.concepts else targets.new_zeros((), dtype=torch.float32)
        return loss_of(upsample(low.float(), targets.shape[1:]), targets), found, encodings

    # The late crop size stays eager: its compilation takes minutes, of which the short last part has few.
    early_forward = torch.compile(forward, dynamic=False) if o.compile else forward
    pairs_of = [(a, b) for a, b in zip(ema.model.state_dict().values(), net.model.state_dict().values(), strict=True) if a.is_floating_point()]
    averaged, current = (list(x) for x in zip(*pairs_of, strict=True))
    statistics = [(a, b) for (n, a), b in zip(ema.model.named_buffers(), net.model.buffers(), strict=True) if "running" in n]
    loading = {"num_workers": o.workers, "prefetch_factor": 4 if o.workers else None, "pin_memory": device == "cuda"}
    saved = validated = logged = time.monotonic()
    # Sums of the losses and of the gradient's norm: read now and then only, since reading waits for the accelerator.
    sums, seen, made = torch.zeros(5, device=device), 0, None
    while (done := progress()) < 1 and not stop:
        late = done >= 1 - o.late_part
        size = o.late_crop if late else o.crop
        images = max(2, round(o.images * (o.crop / size) ** 2)) if late else o.images
        lr = learning_rate(o.lr, step, o.warm_up, done)
        for group in optimiser.param_groups:
            group["lr"] = lr * group["rate"]
        net.model.train()
        if made is None or made[0] != size:
            made = size, iter(DataLoader(Batches(sampler, images, size, o.seed + step), None, **loading))
        pixels, clean, expressions, targets = next(made[1])
        lang, mask = text(expressions)
        targets, asked = targets.to(device, non_blocking=True), concepts(expressions).to(device, non_blocking=True)
        loss, found, encodings = (forward if late else early_forward)(prepared(pixels), lang, mask, asked, targets)
        seen_by_cnn = loss.new_zeros(())
        if teacher and done < o.distill_part:
            seen_by_cnn = distillation(encodings, teacher(prepared(clean)))
        optimiser.zero_grad(set_to_none=True)
        (loss + o.concepts * found + o.distill * (1 - done / o.distill_part) * seen_by_cnn).backward()
        norm = nn.utils.clip_grad_norm_(learned.parameters(), 1.0)
        # A step whose gradient is no number is left out.
        optimiser.found_inf = (~torch.isfinite(norm)).float()
        optimiser.step()
        step += 1
        with torch.no_grad():
            # The forward pass of a step that is left out has changed the statistics already; averaged, an infinity would stay for ever.
            for kept, new in statistics:
                new.copy_(torch.where(torch.isfinite(new), new, kept))
            torch._foreach_lerp_(averaged, current, 1 - min(o.ema, (1 + step) / (10 + step)))
            sums += torch.stack([loss.detach(), found.detach(), seen_by_cnn.detach(), norm, encodings[-1].detach().float().std()])
        seen += len(expressions)
        now = time.monotonic()
        if step % 50 == 0:
            mean = [f"{v / 50:.4f}" for v in sums.tolist()]
            print(f"step {step} {elapsed() / 60:.1f} min {100 * done:.1f} % crop {size} loss {mean[0]} concepts {mean[1]} cnn {mean[2]} grad {mean[3]} "
                  f"stage 4 {mean[4]} lr {lr:.2e} {seen / (time.monotonic() - logged):.1f} samples/s", flush=True)
            seen, logged = 0, time.monotonic()
            sums.zero_()
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
