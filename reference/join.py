"""Teach a convolutional encoder to answer expressions by itself, and put it beside a trained network, which stays as it is.

The network has seen its training scenes so often that nothing learns from them beside it: a CNN whose features were let into V_1..V_3
changed nothing on other places (docs/training-log.md, run 13). So EfficientNet-Lite0, which has seen ImageNet, learns alone, from the
crops that `train.py` draws; and the answer is the sum of both log-odds, less those of what is known before (`PRIOR`). The CNN also
answers, through linear maps that are thrown away, where each concept is. Resumable.

    python join.py --checkpoint aligned.pth --tokenizer TOKENIZER --data DATA --out RUN --minutes 45
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aerial import CropSampler, cutouts, load_split, normalise
from augment import RECOLOURED
from expressions import TextFeatures
from pairs import held_out, validate
from precision import halves
from rrsis_twin import Rrsis
from rrsis_twin.config import CnnConfig
from rrsis_twin.decoder import masked_mean, upsample
from rrsis_twin.model import Segmenter
from supervision import ConceptHeads, concepts
from teacher import packaged_weights
from train import learning_rate, loss_of, save
from triplets import TripletSampler, load_triplets

#: log-odds of a pixel before anybody looks: both opinions hold them, and their sum may hold them once only. About a pixel in three, chosen on val
PRIOR = -0.75
#: the share of the learning rate that each part gets
RATES = {"cnn.": 0.3, "cnn_decoder.": 1.0, "heads.": 1.0}


def with_cnn(net: Rrsis, weights: dict[str, Tensor]) -> Rrsis:
    """The same network, answering the same, with a CNN that nothing is taken from yet. weights: EfficientNet-Lite0, published names."""
    joined = Rrsis(replace(net.config, cnn=CnnConfig()))
    missing, unused = joined.load_state_dict(net.state_dict(), strict=False)
    if unused or any(not k.startswith(("model.cnn.", "model.cnn_decoder.")) for k in missing):
        raise KeyError(f"weights do not fit: {(unused or missing)[0]}")
    joined.model.cnn.load_efficientnet(weights)
    nn.init.zeros_(joined.model.cnn_decoder.out.weight)
    nn.init.zeros_(joined.model.cnn_decoder.out.bias)
    for gate in joined.model.cnn_decoder.gates:
        nn.init.normal_(gate.language.weight, std=0.05)
    return joined.eval()


def learned(net: Segmenter) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in net.named_parameters() if name.startswith(("cnn.", "cnn_decoder."))]


def groups(parameters: list[tuple[str, nn.Parameter]], weight_decay: float) -> list[dict]:
    """By part and by whether they decay (norms and biases do not)."""
    return [{"params": these, "rate": rate, "weight_decay": weight_decay * decays} for part, rate in RATES.items() for decays in (True, False)
            if (these := [p for name, p in parameters if name.startswith(part) and (p.ndim > 1) == decays])]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--cnn", type=Path, help="weights of the CNN (ceiling.py --out); else those in its package")
    p.add_argument("--data", type=Path, required=True, help="folder with train/")
    p.add_argument("--triplets", action="append", default=[], metavar="DIR=SHARE", help="data set in the RefSegRS layout and its share of the crops; the first with a val split is validated on")
    p.add_argument("--pairs", type=Path, help="folder in the RefSegRS layout that is validated on, too")
    p.add_argument("--out", type=Path, required=True, help="run folder")
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--images", type=int, default=12)
    p.add_argument("--per-image", type=int, default=5)
    p.add_argument("--crop", type=int, default=256)
    p.add_argument("--recoloured", type=float, default=RECOLOURED, help="share of the crops that take the colours of another scene")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--weight-decay", type=float, default=0.02)
    p.add_argument("--concepts", type=float, default=0.5, help="weight of where each concept is, asked of the CNN")
    p.add_argument("--ema", type=float, default=0.99)
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
    if net.config.cnn is None:
        net = with_cnn(net, torch.load(o.cnn or packaged_weights(), map_location="cpu", weights_only=True))
    net.requires_grad_(False).eval().to(device)
    text = TextFeatures(net.bert_model, o.tokenizer, net.config.max_tokens, device)
    ema = copy.deepcopy(net)
    heads = ConceptHeads([0, *list(net.config.cnn.ends().values())[1:]]).to(device)
    for _, parameter in learned(net.model):
        parameter.requires_grad_(True)
    of_run = learned(net.model) + [(f"heads.{name}", p) for name, p in heads.named_parameters()]
    optimiser = torch.optim.AdamW(groups(of_run, o.weight_decay), lr=o.lr, betas=(0.9, 0.98))
    step, before = 0, 0.0
    if (state := o.out / "state.pth").exists():
        stored = torch.load(state, map_location=device, weights_only=False)
        net.model.load_state_dict(stored["model"])
        ema.model.load_state_dict(stored["ema"])
        heads.load_state_dict(stored["heads"])
        optimiser.load_state_dict(stored["optimiser"])
        rng.setstate(stored["rng"])
        step, before = stored["step"], stored["elapsed"]

    scenes = load_split(o.data, "train")
    folders = [(Path(folder), float(share)) for folder, share in (t.rsplit("=", 1) for t in o.triplets)]
    triplets = [(TripletSampler(load_triplets(folder, "train")), share) for folder, share in folders]
    sampler = CropSampler(scenes, rng, net.config.image_size, o.per_image, cutouts(scenes, o.data / "train"), triplets, o.recoloured)
    pairs, absent = held_out([folder for folder, _ in folders], o.validate, o.pairs)
    print(f"{sum(p.numel() for _, p in of_run) / 1e6:.2f} M parameters learn; ready after {time.monotonic() - started:.0f} s", flush=True)

    def elapsed() -> float:
        return before + time.monotonic() - started

    def alone(pixels: Tensor, sentence: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The CNN's logits without the network's, and its maps."""
        # Depthwise convolutions of halves have slow gradients on CPUs.
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            maps = net.model.cnn(pixels)
        with halves(device):
            term = net.model.cnn_decoder(maps, sentence)
        return F.pad(term.float() + PRIOR, (0, 0, 0, 0, 1, 0)), maps

    def look() -> None:
        if pairs:
            result = validate(ema, text, pairs, absent, device)
            print(f"validation step {step} {elapsed() / 60:.1f} min: " + "  ".join(f"{k} {v:.3f}" for k, v in result.items()), flush=True)

    def store() -> None:
        save(state, {"model": net.model.state_dict(), "ema": ema.model.state_dict(), "heads": heads.state_dict(), "optimiser": optimiser.state_dict(),
                     "rng": rng.getstate(), "step": step, "elapsed": elapsed()})
        kept = torch.load(o.checkpoint, map_location="cpu", weights_only=True)
        how = {k: v for k, v in kept["args"].items() if k != "config"} | {"join": f"{step} steps of {o.images} x {o.per_image} at {o.crop}, rate {o.lr}"}
        save(o.out / "last.pth", ema.checkpoint(kept["epoch"], how))

    averaged, current = ([p for _, p in learned(n.model)] for n in (ema, net))
    validated = saved = time.monotonic()
    sums, read = torch.zeros(3), 0
    while (done := elapsed() / (60 * o.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(o.lr, step, 30, done) * group["rate"]
        pixels, _, expressions, targets = sampler.batch(o.images, o.crop)
        targets, asked = targets.to(device), concepts(expressions).to(device)
        lang, mask = text(expressions)
        pixels = normalise(pixels.to(device)).contiguous(memory_format=torch.channels_last)
        low, maps = alone(pixels, masked_mean(lang, mask))
        asked_of_all = [x.repeat_interleave(o.per_image, 0) for x in maps[1:]]
        found = heads([maps[0], *asked_of_all], asked, targets)
        loss = loss_of(upsample(low, targets.shape[1:]), targets)
        optimiser.zero_grad(set_to_none=True)
        (loss + o.concepts * found).backward()
        norm = nn.utils.clip_grad_norm_([p for _, p in of_run], 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(averaged, current, 1 - min(o.ema, (1 + step) / (10 + step)))
        sums += torch.tensor([float(loss.detach()), float(found.detach()), float(norm)])
        read += 1
        now = time.monotonic()
        if step % 50 == 0:
            print(f"step {step} {elapsed() / 60:.1f} min loss {sums[0] / read:.4f} concepts {sums[1] / read:.4f} grad {sums[2] / read:.3f}", flush=True)
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
