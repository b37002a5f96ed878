"""Checkpoints: what cannot be used is refused by name, and what is there is never lost."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import augspec
from augspec import LayoutMismatchError
from equimod.config import load_run
from equimod.data import DataError
from equimod.training.checkpoint import (
    CHECKPOINT,
    HEADER,
    Checkpoint,
    CheckpointError,
    differences,
    load_checkpoint,
    load_header,
    restore_learner,
    save_checkpoint,
)
from equimod.training.origin import require_same_origin
from equimod.training.trained import trained_learner
from equimod.training.trainer import Trainer

ARM = "simclr+equimod"


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """No file can grow beyond `limit` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def trained(tiny: Path, make_trainer, tmp_path_factory) -> Path:
    """The folder of a trained arm; read only."""
    folder = tmp_path_factory.mktemp("trained")
    make_trainer(load_run(tiny), folder, ARM).run()
    return folder


@pytest.fixture
def path(trained: Path, tmp_path: Path) -> Path:
    """A checkpoint to be spoilt."""
    copy = tmp_path / CHECKPOINT
    copy.write_bytes((trained / CHECKPOINT).read_bytes())
    return copy


def check(tiny: Path, folder: Path, *overrides: str) -> None:
    run = load_run(tiny, overrides)
    data = run.shared.data.build("train", run.base)
    Trainer.check(run.arms[ARM], run.spec, data, folder)


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    tensors = {
        "learner.a.weight": torch.randn(3, 4),
        "learner.count": torch.tensor(7),
        "optimizer.0.step": torch.tensor(2.5, dtype=torch.float64),
        "learner.image": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "learner.none": torch.empty(0, 3),
        "learner.half": torch.randn(5).bfloat16(),
    }
    header = {"step": 3, "sums": {"ü \N{SNOWMAN}": 0.1 + 0.2}, "deep": [None, True, {"x": 1e-300}]}
    save_checkpoint(tmp_path / "deep" / "c", Checkpoint(tensors, header))
    read = load_checkpoint(tmp_path / "deep" / "c")
    assert read.header == header == load_header(tmp_path / "deep" / "c")
    assert read.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read.tensors[name].dtype == tensor.dtype
        assert torch.equal(read.tensors[name], tensor)
    assert read.part("optimizer").keys() == {"0.step"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["c"]


@pytest.mark.parametrize("kept", [0, 4, 100, 5000, -1])
def test_truncated(path: Path, tiny: Path, make_trainer, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    for read in (load_checkpoint, load_header):
        with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged: "):
            read(path)
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged: "):
        check(tiny, path.parent)
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged: "):
        make_trainer(load_run(tiny), path.parent, ARM)


def test_other_files(path: Path, tmp_path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged: "):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*nothing"):
        load_checkpoint(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no checkpoint at "):
        load_checkpoint(tmp_path)
    weights = {"a": torch.ones(2)}
    for metadata in (None, {"format": "pt"}):
        save_file(weights, path, metadata)
        with pytest.raises(CheckpointError, match=r"last\.safetensors holds weights, but is no ch"):
            load_header(path)
    for content in ({"format": 2}, {"step": 1}, [1], "text", None):
        save_file(weights, path, {HEADER: json.dumps(content)})
        with pytest.raises(CheckpointError, match=r"last\.safetensors has another format"):
            load_header(path)
    save_file(weights, path, {HEADER: "{half"})
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged: its header: "):
        load_header(path)


def test_weights_of_other_modules(tmp_path: Path) -> None:
    weights = {f"learner.{name}": t for name, t in torch.nn.Linear(3, 2).state_dict().items()}
    checkpoint = Checkpoint(weights, {})
    restore_learner(torch.nn.Linear(3, 2), checkpoint, tmp_path)
    with pytest.raises(CheckpointError, match=r"holds the weights of other modules: [^$]*size"):
        restore_learner(torch.nn.Linear(3, 4), checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("training.optimizer.lr=0.1", "training.optimizer.lr: 0.05 there, 0.1 here"),
        ("training.epochs=3", "training.epochs: 2 there, 3 here"),
        ("training.batch_size=32", "training.batch_size: 16 there, 32 here"),
        ("training.warmup_epochs=1", "training.warmup_epochs: 0.5 there, 1.0 here"),
        ("training.precision=bf16", "training.precision: '32' there, 'bf16' here"),
        ("training.cosine_by=epoch", "training.cosine_by: 'step' there, 'epoch' here"),
        ("training.clip_gradients={norm: 1}", "training.clip_gradients"),
        (
            "training.optimizer={name: lars, lr: 0.05}",
            "training.optimizer.decay_biases: False there, None here\n"
            "  training.optimizer.name: 'sgd' there, 'lars' here",
        ),
        ("method.temperature=0.2", "method.temperature: 0.5 there, 0.2 here"),
        (f"arms.{ARM}.equimod.weight=0", "equimod.weight: 1.0 there, 0.0 here"),
        ("seed=4", "seed: 3 there, 4 here"),
        ("encoder.name=resnet18", "encoder.name: 'small' there, 'resnet18' here"),
        ("data.seed=1", "the data"),
        ("data.train=95", "the data"),
        ("augmentations.normalize=null", "the augmentation spec"),
        ("augmentations.views.first.ops.horizontal_flip.p=0.4", "the augmentation spec"),
    ],
)
def test_another_run(tiny: Path, trained: Path, override: str, difference: str) -> None:
    with pytest.raises(CheckpointError) as error:
        check(tiny, trained, override)
    message = str(error.value)
    assert message.startswith(f"{trained / CHECKPOINT} was written by a run that differs in:\n")
    lines = message.splitlines()[1:-1]
    assert "\n".join(lines).startswith(f"  {difference}")
    assert len(lines) == 1 or "optimizer" in override


def test_another_layout(tiny: Path, trained: Path, make_trainer) -> None:
    override = "views.augmented=[flipped, second]"
    with pytest.raises(Exception, match="different layouts"):
        check(tiny, trained, override)
    overrides = ["augmentations.views.first.ops.color_jitter={op: grayscale, p: 0.2}"]
    overrides += [overrides[0].replace("first", "second")]
    with pytest.raises(LayoutMismatchError) as error:
        check(tiny, trained, *overrides)
    assert str(trained / CHECKPOINT) in str(error.value)
    assert "- grayscale.gray: only in the first" in str(error.value)
    assert "+ color_jitter.hue: only in the second" in str(error.value)
    with pytest.raises(LayoutMismatchError):
        make_trainer(load_run(tiny, overrides), trained, ARM)


def test_what_does_not_decide_the_weights_may_change(tiny: Path, trained: Path) -> None:
    harmless = ["evaluation.linear.epochs=3", "evaluation.knn=null", "name=other", "data.test=32"]
    harmless += ["training.checkpoint_minutes=0", "training.log_every=1", "training.workers=2"]
    harmless += ["training.accelerator=cpu", "training.evaluate_every=1", "description=more"]
    harmless += ["training.on_corrupt=raise"]
    check(tiny, trained)
    check(tiny, trained, *harmless)


def test_a_checkpoint_from_before_local_views_is_still_one_of_its_run(
    tiny: Path, trained: Path
) -> None:
    header = load_checkpoint(trained / CHECKPOINT).header
    assert header["config"]["views"].pop("local") == []
    run = load_run(tiny)
    plan = augspec.make_plan(run.spec)
    data = run.shared.data.build("train", run.base)
    require_same_origin(header, run.arms[ARM], plan, data, trained)
    local = run.arms[ARM].views.model_copy(update={"local": ("flipped",)})
    other = run.arms[ARM].model_copy(update={"views": local})
    with pytest.raises(CheckpointError, match=r"views.local: \[\] there, \['flipped'\] here"):
        require_same_origin(header, other, plan, data, trained)


def test_a_checkpoint_from_before_a_field_goes_on_with_its_default(
    tiny: Path, trained: Path, path: Path
) -> None:
    """What 0.1.0's first checkpoints say of EquiMod and of training, word for word."""
    checkpoint = load_checkpoint(path)
    config = checkpoint.header["config"]
    config["equimod"] = {"weight": 1.0, "hidden": 16, "dim": 8, "temperature": 0.2}
    config["equimod"] |= {"predictor": "affine", "negatives": "all", "stop_gradient": False}
    for field in config.keys() - {"version", "seed", "views", "encoder", "method", "equimod"}:
        if field != "training":
            del config[field]
    save_checkpoint(path, checkpoint)
    check(tiny, path.parent)
    with pytest.raises(CheckpointError, match=r"in:\n  equimod.rank: 8 there, 4 here\n"):
        check(tiny, path.parent, f"arms.{ARM}.equimod.rank=4")
    config["equimod"]["gone"] = 1
    save_checkpoint(path, checkpoint)
    with pytest.raises(CheckpointError, match=r"equimod\.gone: 1 there, None here"):
        check(tiny, path.parent)


def test_a_batch_larger_than_the_data(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="batch_size 97 is larger than the data set"):
        check(tiny, tmp_path, "training.batch_size=97")


def test_trained_learner(tiny: Path, trained: Path, make_trainer, tmp_path: Path) -> None:
    run = load_run(tiny)
    data, cpu = run.shared.data.build("train", run.base), torch.device("cpu")
    learner, speed = trained_learner(run.arms[ARM], run.spec, data, trained, cpu)
    again = make_trainer(run, trained, ARM)
    assert speed == again.images_per_second > 0
    for name, tensor in again.learner.state_dict().items():
        assert torch.equal(learner.state_dict()[name], tensor), name
    with pytest.raises(CheckpointError, match=r"equimod: {.*} there, None here"):
        trained_learner(run.arms["simclr"], run.spec, data, trained, cpu)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        trained_learner(run.arms[ARM], run.spec, data, tmp_path, cpu)
    started = make_trainer(run, tmp_path, ARM)
    started.step = 5
    started.save()
    with pytest.raises(CheckpointError, match=r"last.safetensors is of step 5 of 12: train to the"):
        trained_learner(run.arms[ARM], run.spec, data, tmp_path, cpu)


def test_a_full_disk_leaves_the_old_checkpoint(path: Path, tiny: Path) -> None:
    before = path.read_bytes()
    checkpoint = load_checkpoint(path)
    with small_disk(len(before) // 2), pytest.raises(OSError, match="cannot write the check") as e:
        save_checkpoint(path, checkpoint)
    assert e.value.filename == str(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [CHECKPOINT]


def test_a_disk_that_fills_up_during_training(tiny: Path, make_trainer, tmp_path: Path) -> None:
    whole, tight = tmp_path / "whole", tmp_path / "tight"
    run = load_run(tiny, ["training.checkpoint_minutes=0", "training.log_every=1"])
    make_trainer(run, whole, "simclr").run()

    def progress(step: int, total: int, values: dict[str, float]) -> None:
        if step == 7:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))

    trainer = make_trainer(run, tight, "simclr", progress=progress)
    with small_disk(10**9), pytest.raises(OSError, match="cannot write the checkpoint"):
        trainer.run()
    assert load_header(tight / CHECKPOINT)["step"] == 6
    make_trainer(run, tight, "simclr").run()
    ours, theirs = load_checkpoint(tight / CHECKPOINT), load_checkpoint(whole / CHECKPOINT)
    assert all(torch.equal(ours.tensors[name], t) for name, t in theirs.tensors.items())
    assert (tight / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_differences_are_named_by_their_path() -> None:
    mine = {"a": {"b": 1, "c": {"d": None}}, "same": [1, 2]}
    theirs = {"a": {"b": 1.5, "c": {}}, "same": [1, 2], "new": "x"}
    assert differences(mine, theirs) == ["a.b: 1.5 there, 1 here", "new: 'x' there, None here"]
