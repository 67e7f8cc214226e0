"""Puts the frozen text encoder back into a checkpoint that was trained on stored features, from the parts it may have been cut into.

    python attach.py RUN/best.pth [RUN/best.pth.01 ...] --minilm MINILM --out best.pth
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import torch

from rrsis_twin import RrsisConfig
from rrsis_twin.bert import load_minilm


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", type=Path, nargs="+", help="in their order")
    p.add_argument("--minilm", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    o = p.parse_args()
    checkpoint = torch.load(io.BytesIO(b"".join(part.read_bytes() for part in o.parts)), map_location="cpu", weights_only=True)
    checkpoint["model"] = {k: v.float() if v.is_floating_point() else v for k, v in checkpoint["model"].items()}
    config = RrsisConfig.from_dict(checkpoint["args"]["config"])
    checkpoint["bert_model"] = load_minilm(config.bert, o.minilm).state_dict()
    torch.save(checkpoint, o.out)


if __name__ == "__main__":
    main()
