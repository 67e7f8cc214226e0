"""Category evaluation of a checkpoint on the validation scenes, and on hand-labelled pairs.

    python evaluate.py --checkpoint RUN/best.pth --data DATA --tokenizer MINILM/tokenizer.json --json scores.json [--sheets DIR]

Official rule: IoU a sample, an empty union counts 0. Samples whose target is absent stay out of it; for those the share of
predictions with fewer than 0.1 % of the pixels is reported. Pixels labelled 255 count nowhere.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from aerial import NEVER, load_split
from expressions import LABELS, WORDS, TextFeatures
from rrsis_twin import Rrsis
from pairs import iou, labelled_pairs, predict, validation_pairs
from train import VALIDATED

EXTRA = ["bare land", "vehicle", "bus", "van"]


def summary(samples: list[tuple[int, int]]) -> dict:
    """mIoU, overall IoU and precision at 0.5 to 0.9 of (intersection, union) pairs."""
    ious = np.array([i / u if u else 0.0 for i, u in samples])
    total = sum(u for _, u in samples)
    return {"n": len(samples), "miou": float(ious.mean()), "oiou": sum(i for i, _ in samples) / total if total else 0.0,
            "precision": {f"{t / 10:.1f}": float((ious >= t / 10).mean()) for t in range(5, 10)}}


def overlay(image: Image.Image, mask: np.ndarray, colour: tuple[int, int, int]) -> Image.Image:
    x = np.asarray(image, np.float32)
    on = (mask == 1)[:, :, None]
    x = np.where(on, 0.55 * x + 0.45 * np.array(colour, np.float32), np.where((mask == 255)[:, :, None], 0.5 * x, x))
    return Image.fromarray(x.astype(np.uint8))


def sheet(rows: list[tuple[str, Image.Image, np.ndarray, np.ndarray]], path: Path, side: int = 240) -> None:
    """Image, truth (green) and prediction (red), one row each; ignored pixels are dark."""
    canvas = Image.new("RGB", (3 * side + 8, len(rows) * (side + 16)), "white")
    draw = ImageDraw.Draw(canvas)
    for r, (title, image, truth, predicted) in enumerate(rows):
        draw.text((4, r * (side + 16) + 2), title, fill="black")
        views = image, overlay(image, truth, (0, 255, 0)), overlay(image, predicted.astype(np.uint8), (255, 0, 0))
        for k, view in enumerate(views):
            canvas.paste(view.resize((side, side)), (k * (side + 4), r * (side + 16) + 14))
    canvas.save(path)


def evaluate_scenes(net: Rrsis, text: TextFeatures, data: Path, split: str, device: str, every: int, sheets: Path | None) -> dict:
    scenes = load_split(data, split)[::every]
    by_class, by_source, results = defaultdict(list), defaultdict(list), []
    for pair in validation_pairs(scenes, VALIDATED + EXTRA):
        predicted = predict(net, text, [pair.scene.image], [pair.expression], device)[0]
        sample = iou(predicted, pair.mask)
        by_class[pair.concept].append(sample)
        if pair.concept in VALIDATED:
            by_source[pair.scene.source].append(sample)
        results.append((sample[0] / max(1, sample[1]), pair, predicted))
    absent = defaultdict(list)
    for scene in scenes:
        annotated = [c for c in scene.concepts if not np.isin(np.asarray(scene.label), LABELS[c]).any()]
        for kind, concepts in (("annotated", annotated), ("never", NEVER[scene.source][:2])):
            for concept in concepts:
                predicted = predict(net, text, [scene.image], [WORDS[concept][0]], device)[0]
                absent[kind].append(bool(predicted.mean() < 1e-3))
                absent[concept].append(absent[kind][-1])
    if sheets:
        for concept in VALIDATED:
            ranked = sorted((r for r in results if r[1].concept == concept), key=lambda r: -r[0])
            middle = len(ranked) // 2
            rows = ranked[:3] + ranked[max(3, middle - 1):middle + 2] + ranked[-3:]
            sheet([(f"{concept} {p.scene.source}/{p.scene.name} IoU {s:.2f}", p.scene.image, p.mask, m) for s, p, m in rows],
                  sheets / f"{split}_{concept.replace(' ', '_')}.png")
    five = [s for c in VALIDATED for s in by_class[c]]
    return {"five_classes": summary(five), "mean_of_class_mious": float(np.mean([summary(by_class[c])["miou"] for c in VALIDATED])),
            "by_class": {c: summary(v) for c, v in by_class.items()}, "by_source": {c: summary(v) for c, v in by_source.items()},
            "no_target": {k: {"n": len(v), "empty_rate": float(np.mean(v))} for k, v in absent.items()}}


def evaluate_pairs(net: Rrsis, text: TextFeatures, folder: Path, device: str, sheets: Path | None) -> dict:
    """Pairs in the RefSegRS release layout (`images/`, `masks/`, `output_phrase_*.txt`): plain category expressions apart."""
    known, other, absent, rows = defaultdict(list), [], [], []
    trained = {w for concept in LABELS for w in WORDS[concept]}
    for pair in sum(labelled_pairs(folder), []):
        image, expression, mask = pair.scene.image, pair.expression, pair.mask
        predicted = predict(net, text, [image], [expression], device)[0]
        if not mask.any():
            absent.append(bool(predicted.mean() < 1e-3))
            title = "absent"
        else:
            sample = iou(predicted, mask)
            known[expression].append(sample) if expression in trained else other.append(sample)
            title = f"IoU {sample[0] / max(1, sample[1]):.2f}"
        rows.append((f"{expression} {title}", image, mask, predicted))
    if sheets:
        for i in range(0, len(rows), 10):
            sheet(rows[i:i + 10], sheets / f"pairs_{i // 10}.png")
    every = [s for v in known.values() for s in v]
    return {"known_classes": summary(every), "by_class": {k: summary(v) for k, v in known.items()},
            "other_expressions": summary(other) if other else {}, "no_target": {"n": len(absent), "empty_rate": float(np.mean(absent))}}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path, required=True)
    p.add_argument("--split", default="val")
    p.add_argument("--every", type=int, default=1, help="take each n-th scene")
    p.add_argument("--pairs", type=Path, help="also a folder in the RefSegRS layout; default DATA/handlabelled where it exists")
    p.add_argument("--json", type=Path)
    p.add_argument("--sheets", type=Path, help="folder for contact sheets: best, median and worst of each class")
    p.add_argument("--threads", type=int, default=1)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    if o.sheets:
        o.sheets.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = Rrsis.from_checkpoint(o.checkpoint)
    text = TextFeatures(net.bert_model, o.tokenizer, net.config.max_tokens, device)
    net.model.to(device)
    scores = evaluate_scenes(net, text, o.data, o.split, device, o.every, o.sheets)
    pairs = o.pairs or o.data / "handlabelled"
    if pairs.exists():
        scores["pairs"] = evaluate_pairs(net, text, pairs, device, o.sheets)
    if o.json:
        o.json.write_text(json.dumps(scores, indent=1))
    line = lambda k, v: f"{k:16} n {v['n']:4}  mIoU {v['miou']:.3f}  oIoU {v['oiou']:.3f}  Pr@0.5 {v['precision']['0.5']:.2f}"  # noqa: E731
    print(line("five classes", scores["five_classes"]))
    for group in ("by_class", "by_source"):
        print("\n".join(line(k, v) for k, v in scores[group].items()))
    print("absent:", {k: f"{v['empty_rate']:.2f} of {v['n']}" for k, v in scores["no_target"].items()})
    if "pairs" in scores:
        q = scores["pairs"]
        print(line("pairs, known", q["known_classes"]), "\n" + "\n".join(line("  " + k, v) for k, v in q["by_class"].items()))
        print("pairs, absent:", q["no_target"])


if __name__ == "__main__":
    main()
