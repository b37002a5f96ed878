"""Copies of the code: what runs from them, and what they notice."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.snapshot import CHANGES, LARGEST_DIFF, RECORD, SnapshotError, take, verify

ROOT = Path(__file__).parents[2]
TAKE = """
from pathlib import Path
from equimod.submission.submit import PACKAGES, _beside_packages
from slurm.snapshot import take
print(take(PACKAGES, Path({into!r}), _beside_packages()).hash)
"""
REPORT = """
import json, augspec, equimod, slurm, slurm.requeue, equimod.published
from equimod.training.environment import _commit
modules = (augspec, equimod, slurm, slurm.requeue)
print(json.dumps({
    "files": [module.__file__ for module in modules],
    "specs": str(equimod.published.specs()),
    "commit": _commit(),
}))
"""


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(
        ["git", "-C", folder, *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit_all(folder: Path) -> str:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    return git(folder, "rev-parse", "HEAD")


def python(*words: str, path: Path, cwd: Path, safe: bool) -> str:
    """Runs Python with its packages from `path`, as a job does if `safe`."""
    env = os.environ | {"PYTHONPATH": str(path)} | ({"PYTHONSAFEPATH": "1"} if safe else {})
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a package `wares`, and with more beside it."""
    folder = tmp_path / "checkout"
    package = folder / "wares"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/table.csv", "one.py"):
        (package / name).write_text(f"# {name}\n")
    (folder / "notes.txt").write_text("x\n")
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("wares", None)


def test_jobs_run_the_copy_whatever_becomes_of_the_original(tmp_path: Path) -> None:
    original, code = tmp_path / "original", tmp_path / "run" / "slurm" / "code"
    for name in ("augspec", "equimod", "slurm", "specs"):
        shutil.copytree(ROOT / name, original / name, ignore=shutil.ignore_patterns("__pycache__"))
    head = commit_all(original)
    name = python("-c", TAKE.format(into=str(code)), path=original, cwd=tmp_path, safe=False)
    for edited in ("augspec", "equimod", "slurm"):
        (original / edited / "__init__.py").write_text("raise SystemExit('edited')\n")
    # in a working folder where Python would find the original first
    found = json.loads(python("-c", REPORT, path=code, cwd=original, safe=True))
    assert all(Path(file).is_relative_to(code) for file in found["files"])
    assert found["specs"] == str(code / "equimod" / "specs")
    assert found["commit"] == head
    words = ("-m", "slurm.requeue", str(tmp_path), "--job", "1", "--status", "0")
    said = python(*words, "--retries=0", "--backoff=1", path=code, cwd=original, safe=True)
    assert said == "end"
    spec = code / "equimod" / "specs" / "augmentations" / "byol-cifar10.yaml"
    assert spec.read_bytes() == (code / "augspec" / "recipes" / spec.name).read_bytes()
    assert (code / "augspec" / "schema").is_dir()
    verify(code, name)  # running it has not changed it


def test_kernels_that_are_compiled_are_found_in_the_copy(checkout: Path, tmp_path: Path) -> None:
    (checkout / "wares" / "kernel.py").write_text(
        "from augspec.kernels.jit import entry\n@entry\ndef twice(x):\n    return 2 * x\n"
    )
    code = "from wares.kernel import twice; twice(1.5); print(sum(twice.stats.cache_hits.values()))"
    assert python("-c", code, path=checkout, cwd=tmp_path, safe=True) == "0"
    take(["wares"], tmp_path / "code")
    assert python("-c", code, path=tmp_path / "code", cwd=tmp_path, safe=True) == "1"


def test_the_hash_is_of_all_files(checkout: Path, tmp_path: Path) -> None:
    def hashed(name: str) -> str:
        return take(["wares"], tmp_path / name).hash

    first = hashed("first")
    assert hashed("again") == first
    made = ("one.pyc", "__pycache__/one.cpython-311.pyc", "__pycache__/one.f-1.py311.nbi", ".swp")
    for name in (*made, "__pycache__/one.f-1.py311.nbi.tmp.12ab", "table.tmp"):
        (checkout / "wares" / name).parent.mkdir(exist_ok=True)
        (checkout / "wares" / name).write_text("x")
    assert hashed("with what is made") == first
    left = {path.name for path in (tmp_path / "with what is made").rglob("*") if path.is_file()}
    source = {"__init__.py", "table.csv", "one.py"}
    assert left == source | {"one.f-1.py311.nbi", RECORD, CHANGES}
    (checkout / "wares" / "inner" / "table.csv").write_text("changed")
    changed = hashed("changed")
    (checkout / "wares" / "one.py").rename(checkout / "wares" / "two.py")
    assert len({first, changed, hashed("renamed")}) == 3


def test_a_changed_copy_is_noticed(checkout: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    name = take(["wares"], code).hash
    verify(code, name)
    (code / "wares" / ".nfs0001").touch()  # what a network disk leaves while a file is open
    verify(code, name)
    table = code / "wares" / "inner" / "table.csv"
    content = table.read_text()
    for change in (lambda: table.write_text("x"), table.unlink):
        change()
        with pytest.raises(SnapshotError, match=r"has been changed: .*code; submit anew"):
            verify(code, name)
        table.write_text(content)
    (code / "wares" / CHANGES).touch()  # only the one beside the packages is left out
    with pytest.raises(SnapshotError, match="has been changed"):
        verify(code, name)
    shutil.rmtree(code)
    with pytest.raises(SnapshotError, match=r"is gone: no .*code"):
        verify(code, name)


def test_what_cannot_be_copied(checkout: Path, tmp_path: Path) -> None:
    into = tmp_path / "run" / "code"
    with pytest.raises(SnapshotError, match=r"there is no package 'ware' to copy"):
        take(["wares", "ware"], into)
    with pytest.raises(SnapshotError, match=r"there is no package 'this' to copy"):
        take(["this"], into)
    (checkout / "wares" / "gone.csv").symlink_to("nowhere")
    with pytest.raises(SnapshotError, match=r"cannot be copied: .*No such file.*gone\.csv"):
        take(["wares"], into)
    assert list(into.parent.iterdir()) == []
    (checkout / "wares" / "gone.csv").unlink()
    take(["wares"], into)
    before = (into / RECORD).stat().st_mtime_ns
    with pytest.raises(SnapshotError, match=r"code exists already"):
        take(["wares"], into)
    assert (into / RECORD).stat().st_mtime_ns == before
    assert [path.name for path in into.parent.iterdir()] == ["code"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_copy_that_is_cut_short_is_none(
    checkout: Path, tmp_path: Path, number: signal.Signals
) -> None:
    for k in range(4000):
        (checkout / "wares" / f"{k}.csv").write_text("x")
    run = tmp_path / "run"
    run.mkdir()
    words = f"from pathlib import Path; take(['wares'], Path({str(run / 'code')!r}))"
    copying = subprocess.Popen(
        [sys.executable, "-c", f"from slurm.snapshot import take; {words}"],
        env=os.environ | {"PYTHONPATH": f"{checkout}:{ROOT}"},
        stderr=subprocess.DEVNULL,
    )
    while not any(run.glob(".code.*.tmp/wares/*.csv")):
        assert copying.poll() is None
    copying.send_signal(number)
    assert copying.wait(30) != 0
    assert not (run / "code").exists()
    if number is signal.SIGINT:
        assert list(run.iterdir()) == []
    take(["wares"], run / "code")
    verify(run / "code", json.loads((run / "code" / RECORD).read_text())["hash"])


def test_the_commit_is_that_of_what_was_copied(checkout: Path, tmp_path: Path) -> None:
    def taken(name: str) -> tuple[str | None, str]:
        snapshot = take(["wares"], tmp_path / name, {"wares/data": data})
        text = (snapshot.folder / CHANGES).read_text(encoding="utf-8")
        assert json.loads((snapshot.folder / RECORD).read_text())["commit"] == snapshot.commit
        return snapshot.commit, text

    data = checkout / "data"
    data.mkdir()
    (data / "colours.txt").write_bytes(b"gr\xfcn\n")
    head = commit_all(checkout)
    assert taken("clean") == (head, "")
    (checkout / "notes.txt").write_text("changed, beside what is copied")
    (checkout / "new.txt").write_text("the same")
    assert taken("clean still") == (head, "")
    (checkout / "wares" / "new.py").write_text("untracked")
    commit, changes = taken("with a new file")
    assert (commit, changes.strip()) == (f"{head}+", "?? wares/new.py")
    (data / "colours.txt").write_bytes(b"gr\xfcn, r\xf6t\n")
    commit, changes = taken("with a change")
    assert commit == f"{head}+"
    assert "+gr\ufffdn, r\ufffdt" in changes
    assert "untracked" not in changes
    assert "beside" not in changes
    (checkout / "wares" / "one.py").write_text("# \u00fc\n" * LARGEST_DIFF)
    cut = (taken("with a large change")[1]).encode()
    assert cut.endswith(b"\n(cut off)\n")
    assert LARGEST_DIFF - 100 < len(cut) < LARGEST_DIFF + 300


def test_what_lies_outside_of_a_checkout_has_no_commit(checkout: Path, tmp_path: Path) -> None:
    assert take(["wares"], tmp_path / "no checkout").commit is None
    git(checkout, "init", "-q")
    assert take(["wares"], tmp_path / "no commit").commit is None
    git(checkout, "add", "notes.txt")
    git(checkout, "commit", "-qm", "somebody's own")
    assert take(["wares"], tmp_path / "untracked").commit is None
    commit_all(checkout)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert take(["wares"], tmp_path / "partly", {"wares/data": elsewhere}).commit is None
