"""Which checkpoints stay, and what a spoilt one costs: some steps, and never the outcome."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from equimod.config import load_run
from equimod.training.checkpoint import (
    HEADER_CHECKSUM,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from equimod.training.keep import checkpoint_file, keep_missing, newest_whole
from equimod.training.trained import trained_learner

ARM = "simclr"
KEEPING = ["training.keep_every=1", "training.evaluate_every=1", "training.epochs=4"]
PER_EPOCH = 6


def train(make_trainer, tiny: Path, folder: Path, accuracies: list[float], **more):
    """Trains where the encoder is worth `accuracies` after the epochs."""
    trainer = make_trainer(load_run(tiny, KEEPING), folder, ARM, **more)
    trainer.validate = lambda learner: {
        "knn/shape": accuracies[trainer.step // PER_EPOCH - 1],
        "knn/colour": 0.0,
    }
    trainer.run()
    return trainer


@pytest.fixture
def folder(tiny: Path, make_trainer, tmp_path: Path) -> Path:
    """An arm that was best after its second epoch."""
    train(make_trainer, tiny, tmp_path / ARM, [10.0, 30.0, 20.0, 30.0])
    return tmp_path / ARM


def spoil(path: Path) -> None:
    """Turns one bit in the middle of a file, in a copy of its own."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.unlink()
    path.write_bytes(content)


def test_the_last_the_best_and_each_epoch_stay(folder: Path) -> None:
    steps = {p.stem: load_checkpoint(p).header["step"] for p in folder.glob("*.safetensors")}
    epochs = {f"epoch-{epoch:05d}": epoch * PER_EPOCH for epoch in (1, 2, 3, 4)}
    assert steps == epochs | {"last": 24, "best": 12}
    assert (folder / "best.safetensors").samefile(folder / "epoch-00002.safetensors")
    assert not list(folder.glob(".*"))
    saves = [json.loads(line) for line in (folder / "checkpoints.jsonl").read_text().splitlines()]
    assert [save["step"] for save in saves] == [6, 12, 18, 24]
    assert all(save["seconds"] > 0 for save in saves)
    assert saves[-1]["bytes"] == (folder / "last.safetensors").stat().st_size


def test_nothing_more_stays_unless_asked_for(tiny: Path, make_trainer, tmp_path: Path) -> None:
    run = load_run(tiny, ["training.evaluate_every=1", "training.keep_best=false"])
    trainer = make_trainer(run, tmp_path, ARM)
    trainer.validate = lambda learner: {"knn/shape": 1.0}
    trainer.run()
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["last.safetensors"]


def test_a_spoilt_checkpoint_costs_steps_only(
    folder: Path, tiny: Path, make_trainer, capfd: pytest.CaptureFixture[str]
) -> None:
    before = load_checkpoint(folder / "last.safetensors")
    metrics = (folder / "metrics.jsonl").read_bytes()
    for name in ("last", "epoch-00004"):
        spoil(folder / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=r"last.* is damaged: its checksum does not fit"):
        load_checkpoint(folder / "last.safetensors")
    trainer = train(make_trainer, tiny, folder, [10.0, 30.0, 20.0, 30.0])
    said = capfd.readouterr().err
    assert re.search(
        r"warning: checkpoint .*last.* is damaged: .*; going on from epoch-00003", said
    )
    after = load_checkpoint(folder / "last.safetensors")
    assert trainer.step == 24
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        assert torch.equal(after.tensors[name], tensor), name
    assert (folder / "metrics.jsonl").read_bytes() == metrics
    assert load_checkpoint(folder / "epoch-00004.safetensors").header["step"] == 24


def test_a_missing_last_one_costs_steps_only(
    folder: Path, tiny: Path, make_trainer, capfd: pytest.CaptureFixture[str]
) -> None:
    before = load_checkpoint(folder / "last.safetensors")
    for name in ("last", "epoch-00004"):
        (folder / f"{name}.safetensors").unlink()
    train(make_trainer, tiny, folder, [10.0, 30.0, 20.0, 30.0])
    said = capfd.readouterr().err
    assert re.search(r"warning: no checkpoint at .*last.*; going on from epoch-00003", said)
    saves = [json.loads(line) for line in (folder / "checkpoints.jsonl").read_text().splitlines()]
    assert [save["step"] for save in saves] == [6, 12, 18, 24, 24]
    after = load_checkpoint(folder / "last.safetensors")
    assert all(torch.equal(after.tensors[name], t) for name, t in before.tensors.items())


def test_records_reach_the_disk_before_the_checkpoint_that_counts_them(
    tiny: Path, make_trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name.strip(".").split(".")[0], path.stat().st_size))
        fsync(descriptor)

    trainer = make_trainer(load_run(tiny, KEEPING), tmp_path, ARM)
    monkeypatch.setattr(os, "fsync", noted)
    trainer.run()
    files = [(name, size) for name, size in synced if name in ("metrics", "last")]
    saves = [index for index, (name, _) in enumerate(files) if name == "last"]
    assert len(saves) == 4
    assert all(files[index - 1][0] == "metrics" for index in saves)
    assert files[saves[-1] - 1][1] == (tmp_path / "metrics.jsonl").stat().st_size


def test_all_of_them_spoilt(folder: Path, tiny: Path, make_trainer) -> None:
    for path in folder.glob("*.safetensors"):
        spoil(path)
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged"):
        make_trainer(load_run(tiny, KEEPING), folder, ARM)


@pytest.mark.parametrize("bit", [0, 3, 6])
def test_a_turned_bit_is_noticed_wherever_it_is(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "last.safetensors"
    tensors = {"learner.a": torch.randn(400), "optimizer.0.x": torch.zeros(30).bfloat16()}
    save_checkpoint(path, Checkpoint(tensors, {"step": 3, "sums": {"loss": 0.25}}))
    content = path.read_bytes()
    name = content.index(HEADER_CHECKSUM.encode())  # a word of its own, which nothing else needs
    for place in {*range(len(content))} - {*range(name, name + len(HEADER_CHECKSUM))}:
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << bit
        path.write_bytes(spoilt)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_kill_before_the_names_were_given(folder: Path, tiny: Path, make_trainer) -> None:
    # as if it had been killed between writing the checkpoint of step 24 and keeping it
    checkpoint = load_checkpoint(folder / "last.safetensors")
    checkpoint.header["kept"] = ["epoch-00004"]
    save_checkpoint(folder / "last.safetensors", checkpoint)
    (folder / "epoch-00004.safetensors").unlink()
    make_trainer(load_run(tiny, KEEPING), folder, ARM).run()
    assert (folder / "epoch-00004.safetensors").samefile(folder / "last.safetensors")
    before = (folder / "epoch-00004.safetensors").stat().st_ino
    keep_missing(folder, 24, ["epoch-00004"])
    assert (folder / "epoch-00004.safetensors").stat().st_ino == before


def test_where_there_are_no_hard_links(
    folder: Path, tiny: Path, make_trainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    train(make_trainer, tiny, tmp_path / "other", [10.0, 30.0, 20.0, 30.0])
    best = tmp_path / "other" / "best.safetensors"
    assert best.stat().st_nlink == 1
    mine, theirs = load_checkpoint(best), load_checkpoint(folder / "best.safetensors")
    assert all(torch.equal(mine.tensors[name], t) for name, t in theirs.tensors.items())


def test_a_kept_checkpoint_is_read_back(folder: Path, tiny: Path) -> None:
    run = load_run(tiny, KEEPING)
    data = run.shared.data.build("train", run.base)
    where = (run.arms[ARM], run.spec, data, folder, torch.device("cpu"))
    best, _ = trained_learner(*where, checkpoint="best")
    expected = load_checkpoint(folder / "epoch-00002.safetensors").part("learner")
    assert all(torch.equal(t, expected[name]) for name, t in best.state_dict().items())
    known = "best, epoch-00001, epoch-00002, epoch-00003, epoch-00004, last"
    with pytest.raises(CheckpointError, match=rf"'bset' in .* \(there: {known}\); .* 'best'\?"):
        checkpoint_file(folder, "bset")


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    assert newest_whole(tmp_path) is None


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_the_checkpoint_before(tiny_disk: Path) -> None:
    path = tiny_disk / "last.safetensors"
    save_checkpoint(path, Checkpoint({"learner.a": torch.ones(1000)}, {"step": 1}))
    message = (
        r"cannot write the checkpoint of 2 MB: No space left on device; the one before it is whole"
    )
    with pytest.raises(OSError, match=message) as caught:
        save_checkpoint(path, Checkpoint({"learner.a": torch.ones(500_000)}, {"step": 2}))
    assert caught.value.errno == errno.ENOSPC
    assert load_checkpoint(path).header["step"] == 1
    assert [p.name for p in tiny_disk.iterdir()] == [path.name]
