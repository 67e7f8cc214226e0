#!/usr/bin/env bash
# One training run on a rented GPU: packed data in, halves of the best checkpoint and the log out.
#   bash reference/gpu.sh MINUTES OUT [more options of train.py]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
minutes=$1 out=$2
shift 2
mkdir -p "$out"
python -u train.py --data ../packed --features ../packed/features.pth --out run --config configs/rrsis-small.json \
  --minutes "$minutes" --workers 14 --compile --images 48 --per-image 3 --crop 256 --late-crop 512 --late-part 0.25 \
  --lr 1e-3 --ema 0.9995 --validate-minutes 2 --save-minutes 60 "$@" 2>&1 | tee "$out/log.txt"
python - "$out" <<'PY'
import sys, torch
c = torch.load("run/best.pth", map_location="cpu", weights_only=True)
c["model"] = {k: v.half() if v.is_floating_point() else v for k, v in c["model"].items()}
torch.save(c, "run/half.pth")
PY
split --bytes=15M --numeric-suffixes run/half.pth "$out/best.pth."
