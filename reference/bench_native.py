"""Time the network without a browser: PyTorch, onnxruntime and `rrsis segment`, in turns, at a number of threads.

    pip install onnxruntime
    python bench_native.py --checkpoint best.pth --onnx ONNX --image IMAGE [--rrsis target/release/rrsis --model F32] [--threads 1] [--json FILE]

ONNX is what export_onnx.py wrote. Every side gets the same pixels and words; its greatest difference from PyTorch's margins
is printed beside its times. A side that computes in f32 and is further off than 0.02 gets no ratio, nor does an int8 one
whose foreground overlaps PyTorch's by less than 0.95 (IoU).

MODEL is a model directory with the checkpoint's weights (`rrsis import --quantize f32`). `rrsis segment` is started anew for every
time, reads another image first, and tells how long the mask of this one took it, from decoded pixels to the mask at their size: more
than the others are asked for. What it writes are masks, so its f32 has to overlap as an int8 side does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import torch

from rrsis_twin import Rrsis
from rrsis_twin.decoder import upsample

SAME, ALIKE = 0.02, 0.95


def rrsis(program: Path, model: Path, image, threads: int, precision: str, folder: Path) -> Callable[[], tuple[float, np.ndarray]]:
    """Seconds and mask of `image`, of the network's size."""
    from PIL import Image

    other, this = folder / "other.png", folder / "this.png"
    image.transpose(Image.Transpose.ROTATE_180).save(other)
    image.save(this)
    out = folder / precision
    command = [program, "segment", other, this, "--expression", "building", "--model", model, "--device", "cpu", "--precision", precision,
               "--threads", str(threads), "--out", out, "--overwrite"]

    def run() -> tuple[float, np.ndarray]:
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        result = json.loads(lines[-1])
        assert result["image"] == str(this), result
        return result["milliseconds"] / 1000, np.asarray(Image.open(result["output"])) > 0

    return run


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--onnx", type=Path, required=True)
    p.add_argument("--image", type=Path, help="instead of noise, which no trained network marks much of")
    p.add_argument("--rrsis", type=Path, help="the command, built with --release")
    p.add_argument("--model", type=Path, help="model directory for it")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--runs", type=int, default=9)
    p.add_argument("--json", type=Path)
    o = p.parse_args()
    if o.rrsis and not (o.model and o.image):
        p.error("--rrsis needs --model and --image")
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    net = Rrsis.from_checkpoint(o.checkpoint).eval()
    size = net.config.image_size
    ids = torch.zeros(1, net.config.max_tokens, dtype=torch.long)
    # [CLS] building [SEP]
    ids[0, :3] = torch.tensor([101, 2311, 102])
    mask = (ids > 0).long()
    pixels = torch.randn(1, 3, size, size)
    if o.image:
        from PIL import Image

        image = Image.open(o.image).convert("RGB").resize((size, size), Image.BILINEAR)
        rgb = np.asarray(image, np.float32) / 255
        rgb = (rgb - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        pixels = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]

    def pytorch() -> np.ndarray:
        with torch.inference_mode():
            logits = net.model.low_resolution(pixels, net.bert_model(ids, mask), mask)
            return (logits[:, 1] - logits[:, 0]).numpy()

    def ort(suffix: str):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = o.threads
        options.inter_op_num_threads = 1
        text, vision = (
            onnxruntime.InferenceSession(o.onnx / f"{n}{suffix}.onnx", options, providers=["CPUExecutionProvider"])
            for n in ("text", "vision")
        )
        feeds = {"ids": ids.numpy(), "mask": mask.numpy()}

        def run() -> np.ndarray:
            (words,) = text.run(None, feeds)
            return vision.run(None, {"pixels": pixels.numpy(), "words": words, "mask": feeds["mask"]})[0]

        return run

    sides = {"PyTorch f32": pytorch, "onnxruntime f32": ort("")}
    if (o.onnx / "vision-int8.onnx").exists():
        sides["onnxruntime int8"] = ort("-int8")
    folder = tempfile.TemporaryDirectory()
    ours = {f"rrsis {p}": rrsis(o.rrsis, o.model, image, o.threads, p, Path(folder.name)) for p in ("f32", "int8")} if o.rrsis else {}
    expected = pytorch()
    whole = upsample(torch.from_numpy(expected)[None], [size, size])[0].numpy()
    found = {name: run() for name, run in sides.items()}
    found |= {name: run()[1] for name, run in ours.items()}
    times: dict[str, list[float]] = {name: [] for name in (*sides, *ours)}
    names = list(times)
    for run in range(o.runs):
        for i in range(len(names)):
            name = names[(run + i) % len(names)]
            if name in ours:
                times[name].append(ours[name]()[0])
                continue
            start = time.perf_counter()
            sides[name]()
            times[name].append(time.perf_counter() - start)
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {o.threads} threads, {size} x {size}, {o.runs} runs in turns")
    rows = []
    for name, took in times.items():
        off = None if name in ours else float(np.abs(found[name] - expected).max())
        a, b = (found[name], whole[0] > 0) if name in ours else (found[name] > 0, expected > 0)
        iou = float((a & b).sum() / (a | b).sum()) if (a | b).any() else None
        agrees = off <= SAME if off is not None and "int8" not in name else iou is not None and iou >= ALIKE
        ratio = median(took) / median(times["PyTorch f32"]) if agrees else None
        rows.append({"side": name, "median_s": median(took), "least_s": min(took), "most_s": max(took), "greatest_difference": off, "iou": iou, "times_pytorch": ratio})
        shown = "outputs disagree" if ratio is None else f"{ratio:.2f} of PyTorch's time"
        overlap = "nothing marked" if iou is None else f"IoU {iou:.4f}"
        difference = "not known" if off is None else f"{off:.1e}"
        print(f"{name:18} {median(took):.3f} s ({min(took):.3f} to {max(took):.3f}), difference {difference}, {overlap}, {shown}")
    if o.json:
        o.json.write_text(json.dumps({"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "threads": o.threads, "size": size, "runs": o.runs, "sides": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
