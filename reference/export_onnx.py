"""Write a checkpoint as two ONNX files, as the browser loads it in two parts, and check them with onnxruntime.

    pip install onnx onnxscript onnxruntime
    python export_onnx.py --checkpoint best.pth --out ONNX [--int8 [--calibrate IMAGE ...]]

text.onnx:   ids, mask [1, tokens] int64 -> words [1, tokens, hidden]
vision.onnx: pixels [1, 3, S, S] normalised RGB, words, mask -> margin [1, S/4, S/4], foreground minus background logit

--int8 adds text-int8.onnx and vision-int8.onnx: 8-bit weights and words, activations quantised as they come (onnxruntime's
dynamic quantisation of matrix products). With --calibrate vision-int8.onnx has ranges that are measured on these images instead, for
convolutions, too (static quantisation). Words are compared where the mask is 1: nothing reads the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from PIL import Image
from torch import Tensor, nn

from aerial import normalise, tensor
from rrsis_twin import Rrsis


class Text(nn.Module):
    def __init__(self, net: Rrsis):
        super().__init__()
        self.bert = net.bert_model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.bert(ids, mask)


class Images(CalibrationDataReader):
    """What the vision side is given for some images and two expressions."""

    def __init__(self, images: list[Path], side: int, text: Text, ids: Tensor, mask: Tensor):
        asked = []
        for word in (2311, 2300):  # "building", "water"
            ids[0, 1] = word
            with torch.no_grad():
                asked.append({"words": text(ids, mask).numpy(), "mask": mask.numpy()})
        pixels = [normalise(tensor(Image.open(path).convert("RGB").resize((side, side))))[None].numpy() for path in images]
        self.given = iter([{"pixels": each, **words} for each in pixels for words in asked])

    def get_next(self) -> dict | None:
        return next(self.given, None)


class Vision(nn.Module):
    def __init__(self, net: Rrsis):
        super().__init__()
        self.model = net.model

    def forward(self, pixels: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        logits = self.model.low_resolution(pixels, words, mask)
        return logits[:, 1] - logits[:, 0]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--int8", action="store_true")
    p.add_argument("--calibrate", type=Path, nargs="+", default=[], metavar="IMAGE")
    p.add_argument("--opset", type=int, default=18)
    o = p.parse_args()
    o.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    net = Rrsis.from_checkpoint(o.checkpoint).eval()
    config = net.config
    ids = torch.zeros(1, config.max_tokens, dtype=torch.long)
    ids[0, :3] = torch.tensor([101, 2311, 102])
    mask = (ids > 0).long()
    pixels = torch.randn(1, 3, config.image_size, config.image_size)
    with torch.no_grad():
        text, vision = Text(net).eval(), Vision(net).eval()
        words = text(ids, mask)
        margin = vision(pixels, words, mask)
    parts = {
        "text": (text, {"ids": ids, "mask": mask}, "words", words),
        "vision": (vision, {"pixels": pixels, "words": words, "mask": mask}, "margin", margin),
    }
    for name, (module, inputs, output, expected) in parts.items():
        path = o.out / f"{name}.onnx"
        torch.onnx.export(module, tuple(inputs.values()), path, input_names=list(inputs), output_names=[output], opset_version=o.opset, dynamo=True, external_data=False)
        files = [path]
        if o.int8:
            files.append(o.out / f"{name}-int8.onnx")
            # The vocabulary is half of the text encoder; in the other part only small tables of f32 are gathered.
            kinds = ["MatMul", "Gemm"] + ["Gather"] * (name == "text")
            if name == "vision" and o.calibrate:
                images = Images(o.calibrate, config.image_size, text, ids.clone(), mask)
                static = {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
                quantize_static(path, files[1], images, op_types_to_quantize=["Conv", *kinds], per_channel=True, **static)
            else:
                quantize_dynamic(path, files[1], op_types_to_quantize=kinds, weight_type=QuantType.QInt8, per_channel=True)
        for file in files:
            session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            given = torch.from_numpy(session.run(None, {k: v.numpy() for k, v in inputs.items()})[0])
            off = (given - expected).abs()
            if name == "text":
                off = off[mask.bool()]
            print(f"{file}: {file.stat().st_size / 1e6:.1f} MB, greatest difference from PyTorch {off.max():.2e} of {expected.abs().max():.2f}")


if __name__ == "__main__":
    main()
