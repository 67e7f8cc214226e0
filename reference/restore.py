"""The checkpoint inside a model directory, so that training goes on from what shipped.

    python restore.py MODEL --config configs/rrsis-small.json --out best.pth

Weights come back as they were stored: from 8 or 4 bits, within half a step of what was trained.
"""

from __future__ import annotations

import argparse
import re
import struct
from pathlib import Path

import cbor2
import numpy as np
import torch
from torch import Tensor

from rrsis_twin import Rrsis, RrsisConfig

#: the one table of names: ours on the left (a pattern), those of the published code on the right
NAMES = Path(__file__).parent.parent / "src/weights/import/names.rs"
DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8}
#: values of 4 bits that share a scale
GROUP = 32


def from_four_bits(codes: Tensor, scales: Tensor) -> Tensor:
    """codes (rows, columns / 2): two neighbours of a row in a byte, the first in its low half, each 8 more than it is; scales: one for
    GROUP rows of each column or for GROUP columns of each row. -> (rows, columns)."""
    codes = codes.to(torch.uint8)
    values = torch.stack([codes & 15, codes >> 4], -1).flatten(1).float() - 8
    rows, columns = values.shape
    axis = 0 if tuple(scales.shape) == (-(-rows // GROUP), columns) else 1
    return values * scales.repeat_interleave(GROUP, axis)[:rows, :columns]


def read_burnpack(path: Path) -> dict[str, Tensor]:
    """Every tensor of a burnpack file (magic, version, length of the CBOR header, header, data), integers times their scales."""
    content = path.read_bytes()
    magic, _version, length = struct.unpack_from("<4sHI", content)
    if magic != b"NRUB":
        raise ValueError(f"{path} begins with {magic!r}, not as a burnpack file does")
    header = cbor2.loads(content[10:10 + length])
    # The data begins at a round address behind the header; offsets count from there.
    start = len(content) - max(t["data_offsets"][1] for t in header["tensors"].values())
    found = {}
    for name, t in header["tensors"].items():
        if t["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name} is {t['dtype']}; known are {', '.join(DTYPES)}")
        begin, end = (start + o for o in t["data_offsets"])
        found[name] = torch.from_numpy(np.frombuffer(content[begin:end], DTYPES[t["dtype"]]).reshape(t["shape"]).astype(np.float32))
    scales = {n: found.pop(n) for n in [n for n in found if n.endswith(".scale")]}
    for name, scale in ((n.removesuffix(".scale"), s) for n, s in scales.items()):
        four_bits = header["tensors"][name]["dtype"] == "U8"
        found[name] = from_four_bits(found[name], scale) if four_bits else found[name] * scale
    return found


def published_names() -> list[tuple[re.Pattern, str]]:
    table = NAMES.read_text().split("const NAMES", 1)[1].split("];", 1)[0]
    pairs = re.findall(r'r"([^"]+)",\s*"([^"]+)"', table)
    return [(re.compile(ours), re.sub(r"\$\{?(\d)\}?", r"\\g<\1>", theirs)) for ours, theirs in pairs]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="folder with text.bpk and vision.bpk")
    p.add_argument("--config", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    o = p.parse_args()
    names = published_names()
    net = Rrsis(RrsisConfig.load(o.config))
    wanted, state = net.state_dict(), {}
    for path, value in (item for shard in ("text.bpk", "vision.bpk") for item in read_burnpack(o.model / shard).items()):
        name = path
        for ours, theirs in names:
            name = ours.sub(theirs, name)
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
        # Linear layers are stored with inputs first.
        if value.ndim == 2 and "embeddings" not in name and not name.endswith("bias_table"):
            value = value.T
        if name not in wanted or wanted[name].numel() != value.numel():
            raise KeyError(f"{path} {tuple(value.shape)} has no place in this configuration as {name}")
        state[name] = value.reshape(wanted[name].shape)
    unknown = [k for k in wanted if k not in state and not k.endswith(("relative_position_index", "num_batches_tracked"))]
    if unknown:
        raise KeyError(f"{o.model} lacks {len(unknown)} tensors, first {unknown[0]}")
    net.load_state_dict(state, strict=False)
    torch.save(net.checkpoint(0, {}), o.out)
    print(f"{o.out}: {len(state)} tensors")


if __name__ == "__main__":
    main()
