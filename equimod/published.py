"""The specs and runs that travel with the package."""

from __future__ import annotations

from pathlib import Path


def specs() -> Path:
    """The folder of the published specs and runs: in a checkout, or in the installed package."""
    package = Path(__file__).parent
    installed = package / "specs"
    return installed if installed.is_dir() else package.parent / "specs"
