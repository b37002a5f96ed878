"""How quickly commands start, and that each package is one."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["augspec", "equimod"])
def test_a_package_is_a_command(package: str) -> None:
    done = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Usage: {package} " in done.stdout


def test_what_only_images_need_is_not_imported_to_check_or_submit_a_run() -> None:
    code = (
        "import sys, equimod.submission.commands\n"
        "heavy = {'torchvision', 'torch._dynamo', 'kornia', 'matplotlib', 'lightning_fabric'}\n"
        "sys.exit(', '.join(heavy & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
