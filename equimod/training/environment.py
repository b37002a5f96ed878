"""What a run ran on: recorded beside its results, so that they can be published and reproduced."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "kornia", "timm", "lightning-fabric", "pydantic", "numpy")


def describe_environment() -> dict[str, Any]:
    """The command, its folder, the versions, the hardware and the state of the code."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "code": _commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _commit() -> str | None:
    """The commit of the code, with `+` where files differ from it; None outside a checkout.

    Of a snapshot that was submitted (`slurm.snapshot`): that of the checkout it was copied from.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        snapshot = Path(__file__).resolve().parents[2] / "snapshot.json"
        commit: str | None = json.loads(snapshot.read_text(encoding="utf-8"))["commit"]
        return commit
    git = ["git", "-C", str(Path(__file__).parent)]
    # installed into a folder of somebody's own checkout, the code is not what that commit holds
    tracked = ("ls-files", "--error-unmatch", Path(__file__).name)
    try:
        _, head, state = (
            subprocess.run(
                [*git, *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (tracked, ("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if state else "")
