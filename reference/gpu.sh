#!/usr/bin/env bash
# One training run on a rented GPU: what pack.py made in, halves of the checkpoints and the log out, also if it is cut off.
#   bash reference/gpu.sh PACKED.tar.xz MINUTES OUT [more options of train.py]
set -euo pipefail
packed=$(realpath "$1") minutes=$2 out=$(realpath -m "$3")
shift 3
cd "$(dirname "${BASH_SOURCE[0]}")"
run=${RRSIS_RUN_DIR:-/tmp/rrsis-run}
mkdir -p "$out"
if [ ! -d "$run/unpacked" ]; then
  python3 pack.py unpack "$packed" "$run/unpacked"
  data=$run/unpacked/data
  python3 annotations.py --labels labels/ucmerced.jsonl --images "$data/unlabelled/ucmerced" --out "$run/tiles" --held-out "$data/handlabelled" &
  python3 annotations.py --labels labels/train.jsonl --images "$data/train" --out "$run/scenes"
  wait %1
fi
data=$run/unpacked/data
name=$(date +%H%M%S)

# Checkpoints in half precision without the text encoder (attach.py puts it back), in parts that are small enough to come back.
halve() {
  python3 - "$run/$name" "$out" <<'PY'
import sys, torch
from pathlib import Path
run, out = map(Path, sys.argv[1:])
for kind in ("best", "last"):
    source, done = run / f"{kind}.pth", run / f"{kind}.done"
    if not source.exists() or (done.exists() and done.stat().st_mtime >= source.stat().st_mtime):
        continue
    done.touch()
    c = torch.load(source, map_location="cpu", weights_only=True)
    c["model"] = {k: v.half() if v.is_floating_point() else v for k, v in c["model"].items()}
    c["bert_model"] = {}
    torch.save(c, run / "half.pth")
    content = (run / "half.pth").read_bytes()
    for i in range(0, len(content), 15 << 20):
        (out / f"{kind}.pth.{i // (15 << 20):02}").write_bytes(content[i:i + (15 << 20)])
PY
}
(while sleep 60; do halve || true; done) &
halving=$!
trap 'kill $halving 2>/dev/null || true' EXIT

TOKENIZERS_PARALLELISM=false python3 -u train.py --data "$data" --minilm "$run/unpacked/minilm" --teacher "$run/unpacked/teacher.pth" \
  --out "$run/$name" --config configs/rrsis-small.json --minutes "$minutes" --workers "$(($(nproc) - 1))" --compile \
  --triplets "$run/unpacked/refsegrs=0" --triplets "$run/tiles=0.25" --triplets "$run/scenes=0.06" --pairs "$data/handlabelled" \
  --images 48 --per-image 4 --crop 256 --late-crop 512 --late-part 0.4 --lr 8e-4 --weight-decay 0.05 --drop-path 0.1 --warm-up 300 \
  --ema 0.999 --distill 6 --distill-part 0.6 --concepts 3 --mask-gradient 0.1 --validate 240 --validate-minutes 3.5 --save-minutes 60 "$@" 2>&1 | tee "$out/log.txt"
halve
