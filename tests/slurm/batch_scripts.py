"""Batch scripts taken apart, and what profiles say that they are made of."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm.launcher import Launcher
from slurm.profile import Profile

needs_srun = pytest.mark.skipif(
    shutil.which("srun") is None, reason="no Slurm here: no script without its srun"
)
LOGS = "/out/logs"
TIMES = {
    "90": 90,
    "1:30": 2,
    "20:00": 20,
    "1:30:00": 90,
    "20:00:00": 1200,
    "0:01:01": 2,
    "100:00:00": 6000,
    "1-0": 1440,
    "1-12": 2160,
    "2-01:30": 2970,
    "2-01:30:30": 2971,
    "7-00:00:00": 10080,
}
"""Times as a profile may have them, in minutes."""


@dataclass(frozen=True)
class Script:
    """A batch script, taken apart.

    Attributes:
        text: the whole.
        options: of sbatch, by name; empty for those without a value.
        setup: the lines before the command.
        srun: the words of the command before those that start Python.
        python: the rest of it.
    """

    text: str
    options: dict[str, str]
    setup: list[str]
    srun: list[str]
    python: list[str]


def script(profile: Profile, count: int = 1, after: tuple[str, ...] = (), **more: Path) -> Script:
    launcher = Launcher(profile, Path(LOGS), Path("/out/attempts"), token="token", **more)
    text = launcher.script("name", count, after)
    options: dict[str, str] = {}
    for line in re.findall(r"^#SBATCH (.*)$", text, flags=re.MULTILINE):
        (word,) = shlex.split(line)
        name, _, value = word.removeprefix("--").partition("=")
        assert name not in options, f"--{name} stands there twice"
        options[name] = value
    setup = text.partition("# setup\n")[2].partition("\n\n# command")[0].split("\n")
    (line,) = re.findall(r"^srun .*$", text, flags=re.MULTILINE)
    words = shlex.split(line)
    end = next(k for k, word in enumerate(words) if k > 3 and not word.startswith("--"))
    return Script(text, options, setup, words[:end], words[end:])


def profile(**fields: object) -> Profile:
    return Profile.model_validate({"version": 1, "name": "mine"} | fields)
