"""Teach the language encoder that other wordings say the same, with the image side as it is.

What the network takes from an expression are the words that pixels attend to (PWAM) and the language tokens of the cross-scale
enhancement. For pixels of training images, both are made to agree between a wording and the canonical one of its concept; the canonical
ones, and what means something else, stay where they are. No masks are needed, and no pass through the image side, so this takes minutes.

    python align.py --checkpoint best.pth --tokenizer TOKENIZER --images FOLDER --triplets DATASET --out aligned.pth
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

from aerial import normalise, tensor
from expressions import ELSEWHERE, FRAMES, WORDS
from rrsis_twin import Rrsis
from triplets import PATTERN, reworded

#: how often a step's wording is one of a concept; the others are relations, attributes and what is elsewhere
CONCEPTS = 0.6
#: positions of a stage's map that are looked at in an image
POSITIONS = 144


class Language:
    """What the image side makes of word features, for pixels of known images."""

    def __init__(self, net: Rrsis, images: list[Path], expressions: list[str], encode, seed: int):
        self.model = net.model
        self.tokens: list[list[Tensor]] = []
        generator = torch.Generator().manual_seed(seed)
        stages = [layer.fusion for layer in net.model.backbone.layers]
        seen: list[Tensor] = []
        hooks = [stage.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0])) for stage in stages]
        side = net.config.image_size
        for path, expression in zip(images, expressions, strict=True):
            seen.clear()
            pixels = normalise(tensor(Image.open(path).convert("RGB").resize((side, side), Image.BILINEAR))[None])
            with torch.no_grad():
                net.model.backbone(pixels, *encode([expression]))
            self.tokens.append([x[torch.randperm(len(x), generator=generator)[:POSITIONS]].clone() for x in seen])
        for hook in hooks:
            hook.remove()

    def read(self, words: Tensor, mask: Tensor, which: list[int]) -> list[Tensor]:
        """words (B, T, L), mask (B, T), an image for each -> fused features (B, positions, C) of every stage, then the language tokens."""
        fused = [layer.fusion(torch.stack([self.tokens[i][stage] for i in which]), words, mask)
                 for stage, layer in enumerate(self.model.backbone.layers)]
        return [*fused, *self.model.classifier.language_tokens(words, mask)]


def distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Of features, relative to how far those that are wanted lie from 0, for each of a batch -> (B,)."""
    parts = [(f - w).pow(2).flatten(1).mean(1) / w.pow(2).flatten(1).mean(1).clamp(min=1e-6) for f, w in zip(found, wanted, strict=True)]
    # A stage counts as much as both language tokens.
    return (sum(parts[:-2]) + 0.5 * (parts[-2] + parts[-1])) / (len(parts) - 1)


def punctuated(words: str, rng: random.Random) -> str:
    return words + rng.choice([""] * 6 + [".", "?", "!"])


def said(concept: str, rng: random.Random, words: dict[str, list[str]], frames: list[str]) -> str:
    word = rng.choice(words[concept])
    return punctuated(rng.choice(frames).format(word), rng) if rng.random() < 0.6 else word


def pair(rng: random.Random, told: list[str], words: dict[str, list[str]], frames: list[str]) -> tuple[str, str]:
    """A wording, and the one that it shall be read as."""
    if rng.random() < CONCEPTS:
        # What was trained on most, as often as what was not.
        concept = rng.choice([c for c in words if c != ELSEWHERE])
        return (concept if rng.random() < 0.15 else said(concept, rng, words, frames)), concept
    if rng.random() < 0.6 and told:
        wanted = rng.choice(told)
        found = PATTERN.match(wanted)
        return (reworded(wanted, rng) if found and rng.random() < 0.5 else wanted), wanted
    word = rng.choice(words[ELSEWHERE])
    return (punctuated(rng.choice(frames).format(word), rng) if rng.random() < 0.5 else word), word


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--images", type=Path, required=True, action="append", help="folder of training images, *.jpg")
    p.add_argument("--count", type=int, default=160, help="images that are looked at")
    p.add_argument("--triplets", type=Path, action="append", default=[], help="data set in the RefSegRS layout; its training expressions stay as they are")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--batch", type=int, default=48)
    p.add_argument("--layers", type=int, default=3, help="how many of the encoder's last layers learn")
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--share", type=float, default=0.6, help="how far the weights go from those they had to those learned: canonical wordings lose less")
    p.add_argument("--held-out", type=int, default=0, help="one wording of so many, and one frame, is kept from training and scored")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)

    net = Rrsis.from_checkpoint(o.checkpoint)
    net.requires_grad_(False)
    teacher, student = copy.deepcopy(net.bert_model), net.bert_model
    tokenizer = Tokenizer.from_file(str(o.tokenizer))
    tokenizer.enable_truncation(net.config.max_tokens)

    def ids(expressions: list[str]) -> tuple[Tensor, Tensor]:
        tokenizer.enable_padding()
        encoded = tokenizer.encode_batch(expressions)
        return tuple(torch.tensor([getattr(e, a) for e in encoded]) for a in ("ids", "attention_mask"))

    def known(expressions: list[str]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            i, m = ids(expressions)
            return teacher(i, m), m

    told = sorted({line.split(" ", 1)[1] for folder in o.triplets for line in (folder / "output_phrase_train.txt").read_text().splitlines()})
    told = [t for t in told if t not in WORDS]
    words, frames, unseen = dict(WORDS), ["{}", *FRAMES], []
    if o.held_out:
        for concept, all_words in WORDS.items():
            kept = all_words[2:][:: o.held_out] if concept != ELSEWHERE else []
            words[concept] = [w for w in all_words if w not in kept]
            unseen += [(w, concept) for w in kept]
        aside = frames[3 :: o.held_out]
        frames = [f for f in frames if f not in aside]
        unseen += [(f.format(w), c) for f in aside for c in WORDS if c != ELSEWHERE for w in WORDS[c][:1]]
    images = sorted(path for folder in o.images for path in folder.iterdir() if path.suffix == ".jpg")
    images = rng.sample(images, min(o.count, len(images)))
    asked = [rng.choice(list(WORDS)[:24]) for _ in images]
    started = time.monotonic()
    language = Language(net, images, asked, known, o.seed)
    print(f"{len(images)} images read in {time.monotonic() - started:.0f} s; {len(told)} expressions of triplets", flush=True)

    learned = [p for layer in student.encoder.layer[-o.layers:] for p in layer.parameters()]
    for parameter in learned:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(learned, lr=o.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, o.lr, o.steps, pct_start=0.1)

    def batch_distance(pairs: list[tuple[str, str]], which: list[int]) -> Tensor:
        i, m = ids([a for a, _ in pairs])
        found = language.read(student(i, m), m, which)
        with torch.no_grad():
            wanted = language.read(*known([b for _, b in pairs]), which)
        return distance(found, wanted)

    @torch.no_grad()
    def score(pairs: list[tuple[str, str]]) -> float:
        chosen = random.Random(1)
        total = [batch_distance(part, [chosen.randrange(len(images)) for _ in part]) for part in (pairs[k:k + 64] for k in range(0, len(pairs), 64))]
        return float(torch.cat(total).mean())

    same = [(c, c) for c in WORDS if c != ELSEWHERE] + [(t, t) for t in told[:: max(1, len(told) // 60)]]
    total = 0.0
    for step in range(o.steps + 1):
        if step % 250 == 0:
            print(f"step {step} {time.monotonic() - started:.0f} s: kept {score(same):.4f}" + (f" unseen {score(unseen):.4f}" if unseen else "")
                  + (f" loss {total / 250:.4f}" if step else ""), flush=True)
            total = 0.0
        if step == o.steps:
            break
        pairs = [pair(rng, told, words, frames) for _ in range(o.batch)]
        loss = batch_distance(pairs, [rng.randrange(len(images)) for _ in pairs]).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()

    checkpoint = torch.load(o.checkpoint, map_location="cpu", weights_only=True)
    before = teacher.state_dict()
    checkpoint["bert_model"] = {k: before[k].lerp(v, o.share) for k, v in student.state_dict().items()}
    checkpoint["args"]["align"] = f"{o.steps} steps of {o.batch}, {o.layers} layers, rate {o.lr}, share {o.share}"
    torch.save(checkpoint, o.out)


if __name__ == "__main__":
    main()
