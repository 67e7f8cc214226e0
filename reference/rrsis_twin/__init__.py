"""A compact PyTorch twin of the LGCE network (Yuan et al., "RRSIS: Referring Remote Sensing Image Segmentation").

One file per block of the paper; sizes are configuration; parameter names are those of the published code.
"""

from .config import BertConfig, LgceConfig, RrsisConfig
from .model import Rrsis

__all__ = ["BertConfig", "LgceConfig", "Rrsis", "RrsisConfig"]
