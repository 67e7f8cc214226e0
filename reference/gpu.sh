#!/usr/bin/env bash
# One training run on a rented GPU: what pack.py made in, halves of the checkpoints and the log out, also if it is cut off.
#   bash reference/gpu.sh PACKED.tar.xz ENCODER_MINUTES MINUTES OUT [more options of train.py]
# Reading, compiling and the end take a minute and a half beside both numbers of minutes.
# ENCODER_MINUTES of pretrain.py come first; 0 leaves them out, for going on with `--init RUN/latest/last.pth` (RUN: $RRSIS_RUN_DIR or its default).
set -euo pipefail
packed=$(realpath "$1") encoder=$2 minutes=$3 out=$(realpath -m "$4")
shift 4
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
mkdir -p "$run/$name"
ln -sfn "$name" "$run/latest"

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
(while sleep 20; do halve || true; done) &
halving=$!
trap 'kill $halving 2>/dev/null || true' EXIT

export TOKENIZERS_PARALLELISM=false
train() {
  python3 -u train.py --data "$data" --minilm "$run/unpacked/minilm" --teacher "$run/unpacked/teacher.pth" --config configs/lgce-small.json --compile \
    --triplets "$run/unpacked/refsegrs=0" --triplets "$run/tiles=0.25" --triplets "$run/scenes=0.06" --pairs "$data/handlabelled" \
    --images 48 --per-image 4 --crop 256 --late-crop 512 --late-part 0.2 --lr 8e-4 --encoder-rate 0.3 --weight-decay 0.05 --drop-path 0.1 --warm-up 200 \
    --ema 0.999 --distill 6 --distill-part 0.6 --concepts 3 --mask-gradient 0.2 --validate 240 --validate-minutes 3 --save-minutes 1 "$@"
}
if [ "$encoder" != 0 ]; then
  # Beside it the network is compiled for the run that follows, which then finds it in the cache.
  (train --out "$run/$name/compiled" --steps 2 --workers 2 "$@" >"$out/compile.txt" 2>&1 || true) &
  python3 -u pretrain.py --data "$data" --teacher "$run/unpacked/teacher.pth" --config configs/lgce-small.json --out "$run/$name/encoder.pth" \
    --minutes "$encoder" --compile 2>&1 | tee "$out/encoder.txt"
  set -- --init "$run/$name/encoder.pth" "$@"
fi
train --out "$run/$name" --minutes "$minutes" --workers "$(($(nproc) - 1))" "$@" 2>&1 | tee "$out/log.txt"
halve
