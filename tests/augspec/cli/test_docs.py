"""`docs/cli.md`: its examples run, and print what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from augspec.cli import COMMANDS, app

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
OLD = """\
name: old
views:
  - name: first
    transforms:
      - {type: horizontal_flip, prob: 0.5}  # as in the paper
"""


def sections() -> dict[str, list[tuple[str, str]]]:
    """The commands of each section of the page, each with what it prints."""
    found = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        blocks = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
        found[section.split("`")[1]] = [(p.partition("\n")[0], p.partition("\n")[2]) for p in parts]
    return found


@pytest.mark.parametrize("section", sections())
def test_examples(tmp_path: Path, section: str) -> None:
    (tmp_path / "specs").symlink_to(PAGE.parents[1] / "specs")
    (tmp_path / "old.yaml").write_text(OLD)
    assert sections()[section]
    for command, printed in sections()[section]:
        program, *words = shlex.split(command)
        assert program == "augspec"
        done = subprocess.run(
            [str(Path(sys.executable).with_name("augspec")), *words],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
        )
        mistaken = re.search(r"^(\S+ )?(::)?error(:| file=)", printed, re.MULTILINE)
        assert done.returncode == (2 if mistaken else 0), done.stderr
        pattern = re.escape(printed).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, done.stdout + done.stderr, re.DOTALL), done.stdout
        if "-o" in words:
            assert (tmp_path / words[words.index("-o") + 1]).stat().st_size > 0


def test_every_command_is_explained_and_helps_itself() -> None:
    assert list(sections()) == list(COMMANDS)
    for name in COMMANDS:
        assert f"augspec {name}" in PAGE.read_text()
        assert callable(app[name].default_command)


def test_the_help_of_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in COMMANDS.items():
        app([name, "--help"], result_action="return_value")
        assert text.replace("`", "")[:30] in " ".join(capsys.readouterr().out.split())
    app(["--help"], result_action="return_value")
    listed = capsys.readouterr().out
    assert [listed.index(f"│ {name} ") for name in COMMANDS] == sorted(
        listed.index(f"│ {name} ") for name in COMMANDS
    )
