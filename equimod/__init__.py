"""EquiMod: equivariance to augmentations, learned beside any invariance method.

    from equimod import EquiMod

    equimod = EquiMod(feature_dim=512, code_dim=17)
    out = equimod(h0, [h1, h2], [c1, c2])
    (invariance_loss + out.loss).backward()

Devillers & Lefort, "EquiMod: An Equivariance Module to Improve Visual Instance Discrimination",
ICLR 2023, arXiv 2211.01244. Names are resolved on first use, so that the command line and the
checking of a run's document do not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equimod.losses import equivariance_nt_xent, nt_xent
    from equimod.module import EquiMod, EquiModOutput
    from equimod.module_config import EquiModConfig

_HOME_OF = {
    "EquiMod": "equimod.module",
    "EquiModConfig": "equimod.module_config",
    "EquiModOutput": "equimod.module",
    "equivariance_nt_xent": "equimod.losses",
    "nt_xent": "equimod.losses",
}

__all__ = ["EquiMod", "EquiModConfig", "EquiModOutput", "equivariance_nt_xent", "nt_xent"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'equimod' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
