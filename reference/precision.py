"""What numbers training computes with."""

from __future__ import annotations

import torch


def halves(device: str):
    """bfloat16 where the device is quick with it; older CPUs compute with it, too, several times as slowly as with float32."""
    fast = device != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device, torch.bfloat16, enabled=fast)
