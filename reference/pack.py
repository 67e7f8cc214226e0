"""Make the training data small enough to carry to a rented machine: recompressed scenes, and the text encoder's features.

    python pack.py --data DATA --minilm MINILM --out PACKED
    python train.py --data PACKED --features PACKED/features.pth ...

A fifth of the bytes: JPEG quality 85 with 4:2:0 chroma instead of 93 with 4:4:4; features of the known expressions instead of
90 MB of encoder. The label maps stay as they are.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from PIL import Image

from expressions import TextFeatures, all_expressions
from rrsis_twin import RrsisConfig
from rrsis_twin.bert import load_minilm


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    p.add_argument("--minilm", type=Path, required=True, help="folder with model.safetensors and tokenizer.json")
    p.add_argument("--config", type=Path, default=Path(__file__).parent / "configs/rrsis-small.json")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--quality", type=int, default=85)
    o = p.parse_args()
    for image in sorted(path for split in ("train", "val") for path in (o.data / split).glob("*/*.jpg")):
        out = o.out / image.relative_to(o.data)
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.open(image).convert("RGB").save(out, quality=o.quality, optimize=True)
        Image.open(image.with_suffix(".png")).save(out.with_suffix(".png"), optimize=True)
        shutil.copyfile(image.with_suffix(".json"), out.with_suffix(".json"))
    config = RrsisConfig.load(o.config)
    text = TextFeatures(load_minilm(config.bert, o.minilm), o.minilm / "tokenizer.json", config.max_tokens)
    text.add(all_expressions())
    text.save(o.out / "features.pth")
    total = sum(f.stat().st_size for f in o.out.rglob("*") if f.is_file())
    print(f"{o.out}: {total / 2**20:.1f} MiB, features of {len(text.known)} expressions")


if __name__ == "__main__":
    main()
