"""Golden tensors of the paper's cross-scale fusion at a tiny size, for the Rust tests.

    python make_goldens.py --out ../tests/goldens/paper_tiny
    python make_goldens.py --variant lavt --out ../tests/goldens/lavt_tiny  # and no_language, no_fusion, cnn
    python make_goldens.py --full --out ../tests/goldens/full_size

Every parameter is a formula of its name, so no weight file is kept: `noise(key, i)` hashes the name (FNV-1a 64) and the
row-major index (splitmix64) to [-1, 1); `parameter` scales it by kind. Images are a formula of x and y.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from aerial import normalise, tensor
from rrsis_twin import Rrsis, RrsisConfig

CONFIG = {
    "embed_dim": 16, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "window": 4, "mlp_ratio": 4,
    "bert": {"vocab_size": 30522, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
             "max_position_embeddings": 512, "layer_norm_eps": 1e-12},
    "lgce": {"depths": [1, 3], "heads": [8, 16], "mlp_ratio": 2}, "decoder_hidden": 64, "cross_scale": "paper", "max_tokens": 20,
    "image_size": 64,
}
#: what a variant changes
VARIANTS = {"paper": {}, "lavt": {"lgce": None}, "no_fusion": {"cross_scale": "none"},
            "cnn": {"cnn": {"stem": 8, "width": 16, "stages": [
                {"repeats": n, "kernel": k, "stride": s, "expansion": e, "channels": c} for n, k, s, e, c in (
                    (1, 3, 1, 1, 8), (2, 3, 2, 3, 12), (1, 5, 2, 3, 16), (1, 3, 2, 3, 24), (2, 5, 1, 3, 20), (2, 5, 2, 2, 28))]}},
            "no_language": {"lgce": CONFIG["lgce"] | {"language_guidance": False}}}
#: (height, width, token ids): "light-duty vehicle in the parking area" and "building", [CLS] and [SEP] included
CASES = [(64, 64, [101, 2422, 1011, 4611, 4316, 1999, 1996, 5581, 2181, 102]), (58, 75, [101, 2311, 102])]


def noise(key: str, n: int) -> np.ndarray:
    """n values in [-1, 1), exact in fp32."""
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    z = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24 * 2 - 1


def parameter(key: str, shape: torch.Size) -> Tensor:
    x = noise(key, math.prod(shape))
    if key.endswith("running_mean"):
        x = 0.1 * x
    elif key.endswith("running_var"):
        x = 1 + 0.2 * x
    elif key.endswith("relative_position_bias_table"):
        x = 0.5 * x
    elif key.endswith("bias"):
        x = 0.05 * x
    elif len(shape) == 1:
        x = 1 + 0.2 * x
    else:
        x = x * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(x.astype(np.float32)).view(shape)


def fill(net: Rrsis) -> Rrsis:
    """Set every parameter and running statistic by the formula; integer buffers keep their meaning."""
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                value.copy_(parameter(key, value.shape))
    return net.eval()


def pattern(h: int, w: int) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    return np.stack([(x * x + 3 * y) % 256, (5 * x + y * y) % 256, x * y % 256], 2).astype(np.uint8)


def run(net: Rrsis, h: int, w: int, tokens: list[int]) -> dict[str, Tensor]:
    image = normalise(tensor(pattern(h, w)))[None]
    ids = torch.tensor([tokens + [0] * (net.config.max_tokens - len(tokens))])
    mask = (torch.arange(net.config.max_tokens) < len(tokens)).long()[None]
    seen = {"in.image": image, "in.input_ids": ids, "in.attention_mask": mask}
    decoder = net.model.classifier
    hooks = [
        net.bert_model.register_forward_hook(lambda m, i, o: seen.update({"last_hidden_state": o})),
        net.model.backbone.register_forward_hook(lambda m, i, o: seen.update({f"V.{k}": v for k, v in enumerate(o)})),
        decoder.conv1_1.register_forward_hook(lambda m, i, o: seen.update({"dec.logits_lowres": o})),
    ]
    if decoder.msb1 is not None:
        hooks.append(decoder.msb1.msb.register_forward_hook(lambda m, i, o: seen.update({f"lgce.out.{k}": v for k, v in enumerate(o)})))
    with torch.no_grad():
        seen["logits"] = net(image, ids, mask)
    for hook in hooks:
        hook.remove()
    return {k: v.contiguous().clone() for k, v in seen.items()}


#: the paper's network (Swin-B, window 12, 480 x 480, BERT-base)
FULL = {
    "embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window": 12, "mlp_ratio": 4,
    "bert": {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
             "max_position_embeddings": 512, "layer_norm_eps": 1e-12},
    "lgce": {"depths": [1, 3], "heads": [8, 16], "mlp_ratio": 2}, "decoder_hidden": 512, "max_tokens": 20, "image_size": 480,
}


def full_size(out: Path) -> None:
    """Low-resolution logits in fp64: fp32 code, the public one included, is up to 1.4e-3 away from them."""
    for cross_scale in ("upstream", "paper"):
        net = fill(Rrsis(RrsisConfig.from_dict(FULL | {"cross_scale": cross_scale}))).double()
        image = normalise(tensor(pattern(480, 480))).double()[None]
        tokens = CASES[0][2]
        ids = torch.tensor([tokens + [0] * (20 - len(tokens))])
        mask = (torch.arange(20) < len(tokens)).long()[None]
        with torch.no_grad():
            logits = net.model.low_resolution(image, net.bert_model(ids, mask), mask)
        save_file({"in.input_ids": ids, "in.attention_mask": mask, "logits_lowres": logits.float().contiguous()},
                  out / f"lgce_swin_b_{cross_scale}.safetensors")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--full", action="store_true", help="the paper's size instead of the tiny one")
    p.add_argument("--variant", choices=VARIANTS, default="paper")
    o = p.parse_args()
    out = o.out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if o.full:
        return full_size(out)
    config = CONFIG | VARIANTS[o.variant]
    net = fill(Rrsis(RrsisConfig.from_dict(config)))
    cases = []
    for n, case in enumerate(CASES):
        tensors = run(net, *case)
        save_file(tensors, out / f"case{n}.safetensors")
        cases.append({"file": f"case{n}.safetensors", "tensors": {k: list(v.shape) for k, v in tensors.items()}})
    keys = {k: list(v.shape) for k, v in net.state_dict().items()}
    (out / "meta.json").write_text(json.dumps({"config": config, "weights": "noise(key, i) of reference/make_goldens.py",
                                               "cases": cases, "keys": keys}, indent=1) + "\n")


if __name__ == "__main__":
    main()
