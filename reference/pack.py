"""Make all that a training run needs small enough to carry to a rented machine, and unpack it there.

    python pack.py pack --data DATA --minilm MINILM --refsegrs REFSEGRS --out packed.tar.xz
    python pack.py unpack packed.tar.xz OUT

A third of the bytes. Images are WebP under their old names (whatever reads them looks at the content); of the unlabelled tiles only
those with outlines are there; of instances only those that training reads; of the text encoder 8 bits a weight, and of its words those
of our expressions; of the distillation's CNN the layers that are looked at, in half precision. Label maps and masks are as they were.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from expressions import ATTRIBUTES, FRAMES, WORDS
from teacher import packaged_weights
from triplets import RELATIONS

HERE = Path(__file__).parent
LABELS = HERE / "labels"
WORDS_TABLE = "embeddings.word_embeddings.weight"


def copy_image(path: Path, out: Path, quality: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.open(path).convert("RGB").save(out, "WEBP", quality=quality, method=6)


def copy_scene(image: Path, out: Path, quality: int) -> None:
    copy_image(image, out, quality)
    Image.open(image.with_suffix(".png")).save(out.with_suffix(".png"), optimize=True)
    meta = json.loads(image.with_suffix(".json").read_text())
    categories = {category for category, _, _ in ATTRIBUTES.values()}
    meta["instances"] = [i for i in meta["instances"] if i["class"] in categories]
    out.with_suffix(".json").write_text(json.dumps(meta))


def copy_triplets(folder: Path, split: str, out: Path, quality: int | None) -> None:
    """One split of a folder in the RefSegRS layout; without a quality its images stay as they are."""
    phrases = next(folder.glob(f"output_phrase_{split}.txt"))
    for sub in ("images", "masks", "ignored"):
        (out / sub).mkdir(parents=True)
    shutil.copyfile(phrases, out / phrases.name)
    names = [line.split(" ", 1)[0] for line in phrases.read_text().splitlines()]
    about = json.loads((folder / "provenance.json").read_text())
    if "samples" in about:
        about["samples"] = {n: about["samples"][n] for n in names}
    (out / "provenance.json").write_text(json.dumps(about))
    for name in names:
        image = next((folder / "images").glob(f"{name}.*"))
        if quality:
            copy_image(image, out / "images" / image.name, quality)
        else:
            shutil.copyfile(image, out / "images" / image.name)
        for sub in ("masks", "ignored"):
            for mask in (folder / sub).glob(f"{name}.*"):
                shutil.copyfile(mask, out / sub / mask.name)


def spoken() -> set[str]:
    """Everything that training and validation may say."""
    said = {w for words in WORDS.values() for w in words} | set(FRAMES) | {w for words in RELATIONS.values() for w in words} | {"the", "roof"}
    return said | {w.replace(ending, "") for w in said for ending in (",", ".")}


def pack_text(minilm: Path, more: set[str], out: Path) -> None:
    out.mkdir()
    shutil.copyfile(minilm / "tokenizer.json", out / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_padding()
    used = sorted({i for e in tokenizer.encode_batch(sorted(spoken() | more)) for i in e.ids} | {0})
    packed = {}
    for name, tensor in load_file(minilm / "model.safetensors").items():
        if "pooler" in name or "position_ids" in name:
            continue
        tensor = tensor.float()
        if name == WORDS_TABLE:
            packed[f"{name}.rows"] = torch.tensor(used)
            tensor = tensor[used]
        if tensor.ndim == 2:
            scale = tensor.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            packed[f"{name}.scale"], tensor = scale, (tensor / scale).round().to(torch.int8)
        packed[name] = tensor.contiguous()
    save_file(packed, out / "packed.safetensors")


def unpack_text(folder: Path) -> None:
    packed = load_file(folder / "packed.safetensors")
    tensors = {n: t for n, t in packed.items() if not n.endswith((".scale", ".rows"))}
    tensors = {n: t.float() * packed[f"{n}.scale"] if f"{n}.scale" in packed else t for n, t in tensors.items()}
    rows = packed[f"{WORDS_TABLE}.rows"]
    # What is not in the pack is never said; row 0 is that of the padding, which a real tokenizer's vocabulary begins with.
    table = torch.zeros(30522, tensors[WORDS_TABLE].shape[1])
    table[rows] = tensors[WORDS_TABLE]
    tensors[WORDS_TABLE] = table
    save_file(tensors, folder / "model.safetensors")


def pack_teacher(out: Path) -> None:
    weights = torch.load(packaged_weights(), map_location="cpu", weights_only=True)
    unread = ("_fc", "_conv_head", "_bn1")
    torch.save({n: (torch.zeros_like(t) if n.startswith(unread) else t).half() if t.is_floating_point() else t for n, t in weights.items()}, out)


def pack(o: argparse.Namespace, root: Path) -> None:
    data = root / "data"
    for image in sorted((o.data / "train").glob("*/*.jpg")):
        copy_scene(image, data / image.relative_to(o.data), o.quality)
    for line in (LABELS / "ucmerced.jsonl").read_text().splitlines():
        name = Path("unlabelled/ucmerced") / f"{json.loads(line)['scene']}.jpg"
        copy_image(o.data / name, data / name, o.quality)
    copy_triplets(o.data / "handlabelled", "handlabelled", data / "handlabelled", None)
    copy_triplets(o.refsegrs, "val", root / "refsegrs", o.quality)
    # `train.py` reads the split of a folder that it trains on, too; here that is label maps.
    (root / "refsegrs" / "output_phrase_train.txt").write_text("")
    more = {line.split(" ", 1)[1] for f in root.rglob("output_phrase_*.txt") for line in f.read_text().splitlines()}
    pack_text(o.minilm, more, root / "minilm")
    pack_teacher(root / "teacher.pth")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = p.add_subparsers(dest="verb", required=True)
    v = verbs.add_parser("pack")
    v.add_argument("--data", type=Path, required=True, help="folder with train/, unlabelled/ and handlabelled/")
    v.add_argument("--minilm", type=Path, required=True, help="folder with model.safetensors and tokenizer.json")
    v.add_argument("--refsegrs", type=Path, required=True, help="what `rrsis dataset unified` made; its val split is carried")
    v.add_argument("--out", type=Path, required=True)
    v.add_argument("--quality", type=int, default=76)
    v = verbs.add_parser("unpack")
    v.add_argument("archive", type=Path)
    v.add_argument("out", type=Path)
    o = p.parse_args()
    if o.verb == "unpack":
        with tarfile.open(o.archive) as archive:
            archive.extractall(o.out, filter="data")
        unpack_text(o.out / "minilm")
        return
    with tempfile.TemporaryDirectory() as folder:
        pack(o, Path(folder))
        for part in sorted(Path(folder).iterdir()):
            print(f"{part.name}: {sum(f.stat().st_size for f in [part, *part.rglob('*')] if f.is_file()) / 2**20:.1f} MiB")
        # Several expressions about one image are several equal files: a large dictionary finds them.
        with tarfile.open(o.out, "w:xz", preset=6) as archive:
            archive.add(folder, ".")
    print(f"{o.out}: {o.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
