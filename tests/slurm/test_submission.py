"""The record of a submission, and files that are written whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm.files import write_atomically
from slurm.submission import Job, Submission, SubmissionError, SubmissionFolder

RECORD = Submission(
    name="out",
    executor="slurm",
    token="equimod-12ab",
    submitted="2026-01-02T03:04:05+01:00",
    command=("equimod", "submit", "run.yaml", "--set", "name='grün'"),
    host="login1",
    code="0123456789abcdef",
    jobs=(Job("seed=0", "train", "12_0"), Job("seed=1", "train", "12_1"), Job("seed=0", "eval")),
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = SubmissionFolder(tmp_path / "out")
    folder.write(RECORD)
    assert SubmissionFolder(tmp_path / "out").read() == RECORD
    assert folder.file == tmp_path / "out" / "slurm" / "submission.json"
    assert [path.name for path in folder.path.iterdir()] == ["submission.json"]


def test_jobs_without_an_id_give_way(tmp_path: Path) -> None:
    new = [Job("seed=1", "train", "15"), Job("seed=0", "eval", "16")]
    added = RECORD.adding(new)
    assert added.jobs == (*RECORD.jobs[:2], *new)
    assert added.latest() == [RECORD.jobs[0], *new]
    assert added.adding([]) == added
    assert RECORD.latest() == list(RECORD.jobs)


def test_nothing_was_submitted(tmp_path: Path) -> None:
    folder = SubmissionFolder(tmp_path)
    expected = f"nothing was submitted from {tmp_path}: no {folder.file}"
    with pytest.raises(SubmissionError) as error:
        folder.read()
    assert str(error.value) == expected


Document = dict[str, Any]
DAMAGES: dict[str, Callable[[Document], object]] = {
    "a list": lambda d: [d],
    "a number": lambda d: 3,
    "no version": lambda d: {k: v for k, v in d.items() if k != "version"},
    "an unknown field": lambda d: d | {"colour": "red"},
    "no token": lambda d: {k: v for k, v in d.items() if k != "token"},
    "no jobs": lambda d: {k: v for k, v in d.items() if k != "jobs"},
    "jobs that are a number": lambda d: d | {"jobs": 3},
    "a job that is a number": lambda d: d | {"jobs": [3]},
    "a job without a kind": lambda d: d | {"jobs": [{"point": ""}]},
    "a command that is a number": lambda d: d | {"command": 3},
    "a name that is a number": lambda d: d | {"name": 3},
    "an id that is a list": lambda d: d | {"jobs": [{"point": "", "kind": "train", "id": [1]}]},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named(tmp_path: Path, damage: str) -> None:
    folder = SubmissionFolder(tmp_path)
    folder.write(RECORD)
    document = json.loads(folder.file.read_text())
    folder.file.write_text(json.dumps(DAMAGES[damage](document)))
    with pytest.raises(SubmissionError) as error:
        folder.read()
    assert str(error.value).startswith(f"{folder.file} is damaged: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_a_record_that_is_no_document(tmp_path: Path, content: bytes) -> None:
    folder = SubmissionFolder(tmp_path)
    folder.write(RECORD)
    folder.file.write_bytes(content)
    with pytest.raises(SubmissionError, match=r"submission\.json is damaged: "):
        folder.read()


def test_a_record_of_a_later_program(tmp_path: Path) -> None:
    folder = SubmissionFolder(tmp_path)
    folder.write(RECORD)
    folder.file.write_text(folder.file.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(SubmissionError, match=r"has version 2, and this program reads version 1$"):
        folder.read()


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    code = f"""
import resource
from pathlib import Path
from slurm.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
write_atomically(Path({str(path)!r}), "new" * 5000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "a" * 100_000)
    code = f"""
from pathlib import Path
from slurm.files import write_atomically
for k in range(100):
    write_atomically(Path({str(path)!r}), "ab"[k % 2] * 100_000)
"""
    writer = subprocess.Popen([sys.executable, "-c", code])
    seen = set()
    while writer.poll() is None:
        text = path.read_text()
        assert len(text) == 100_000
        seen |= set(text)
    assert writer.returncode == 0
    assert seen == {"a", "b"}
