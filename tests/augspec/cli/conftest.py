"""Runs the command line, in this process or as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from augspec.cli import main

Command = Callable[..., tuple[int, str, str]]

BAD = """\
version: 1
name: bad
views:
  original: {ops: [{op: gausian_blur}]}
  first: &view
    ops:
      - {op: horizontal_flip, p: 2}
      - {op: solarize, threshold: 128}
  second: *view
"""


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command line in this process: its status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, printed.out, printed.err

    return run


@pytest.fixture
def process() -> Command:
    """Runs the command line as a process of its own."""

    def run(*words: str | Path, cwd: Path | None = None) -> tuple[int, str, str]:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("augspec")), *map(str, words)],
            capture_output=True,
            text=True,
            cwd=cwd,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def specs(root: Path) -> Path:
    return root / "specs" / "augmentations"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return path
