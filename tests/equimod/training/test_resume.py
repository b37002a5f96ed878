"""A run that was interrupted anywhere and resumed is, bit for bit, the run that was not."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equimod.config import Run, load_run
from equimod.training.checkpoint import Checkpoint, load_checkpoint
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.trainer import Trainer

STEPS = 12
CASES = {
    "sgd": ["training.optimizer={name: sgd, lr: 0.05, nesterov: true}"],
    "lars, byol and equimod": [
        "training.optimizer={name: lars, lr: 1.0}",
        "method={name: byol, hidden: 16, dim: 8, ema_start: 0.9}",
        "equimod={hidden: 16, dim: 8}",
    ],
    "simsiam, every option of a step": [
        "method={name: simsiam, dim: 16, hidden: 8, fixed_predictor_rate: true}",
        "training.optimizer={name: sgd, lr: 0.05, decay_biases: true}",
        "training.clip_gradients={norm: 0.5, of: each}",
        "training.cosine_by=epoch",
        "training.warmup_epochs=0.5",
    ],
    "adamw, equimod and bf16": [
        "training.optimizer={name: adamw, lr: 1e-3}",
        "equimod={hidden: 16, dim: 8}",
        "training.precision=bf16",
    ],
}


METHODS = {
    "barlow_twins": "hidden: 16, dim: 8",
    "vicreg": "hidden: 16, dim: 8",
    "simsiam": "dim: 16, hidden: 8",
    "moco_v3": "hidden: 16, dim: 8, ema_start: 0.9",
    "dino": "hidden: 16, bottleneck: 8, prototypes: 32, freeze: 0.5, warmup: 0.6",
}
"""Those that are no case above."""


class Crash(Exception):
    """The process ends without a word."""


def finish(run: Run, folder: Path, make_trainer: Callable[..., Trainer], ends: dict[int, str]):
    """Trains to the end, where each of `ends` comes once: a `stop` or a `crash` after a step."""
    left = dict(ends)
    while True:
        stop = StopFlag()

        def progress(step: int, total: int, values: dict[str, float], stop=stop) -> None:
            assert total == STEPS
            assert values["images/s"] > 0
            kind = left.pop(step, None)
            if kind == "stop":
                stop.signal = signal.SIGTERM
            elif kind == "crash":
                raise Crash

        trainer = make_trainer(run, folder, stop=stop, progress=progress)
        try:
            trainer.run()
        except InterruptedRunError as error:
            assert str(error) == f"stopped after step {trainer.step} of {STEPS}"
            assert load_checkpoint(folder / "last.safetensors").header["step"] == trainer.step
        except Crash:
            pass
        else:
            assert not left
            return trainer


def outcome(folder: Path) -> tuple[Checkpoint, bytes]:
    checkpoint = load_checkpoint(folder / "last.safetensors")
    assert checkpoint.header.pop("seconds") > 0
    return checkpoint, (folder / "metrics.jsonl").read_bytes()


def assert_same(mine: tuple[Checkpoint, bytes], theirs: tuple[Checkpoint, bytes]) -> None:
    assert mine[0].header == theirs[0].header
    assert mine[0].tensors.keys() == theirs[0].tensors.keys()
    for name, tensor in theirs[0].tensors.items():
        assert torch.equal(mine[0].tensors[name], tensor), name
    assert mine[1] == theirs[1]


@pytest.fixture(scope="module", params=CASES)
def undisturbed(request, tiny: Path, make_trainer, tmp_path_factory):
    run = load_run(tiny, ["arms={}", "training.log_every=1", *CASES[request.param]])
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(run, folder, make_trainer, {})
    result = outcome(folder)
    assert result[0].header["step"] == STEPS
    assert len(result[1].splitlines()) == STEPS + 2  # each step, and each epoch's means
    return run, result


@settings(max_examples=3)
@example({1: "stop"})
@example({6: "stop", 7: "stop"})
@example({STEPS: "stop"})
@example({5: "crash"})
@example({4: "stop", 9: "crash", 11: "stop"})
@example(dict.fromkeys(range(1, STEPS + 1), "stop"))
@given(st.dictionaries(st.integers(1, STEPS), st.sampled_from(["stop", "crash"]), min_size=1))
def test_interrupted_anywhere(undisturbed, make_trainer, tmp_path_factory, ends) -> None:
    run, expected = undisturbed
    folder = tmp_path_factory.mktemp("interrupted")
    finish(run, folder, make_trainer, ends)
    assert_same(outcome(folder), expected)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_as_if_nothing_had_been(
    tiny: Path, make_trainer, tmp_path: Path, name: str
) -> None:
    method = f"method={{name: {name}, {METHODS[name]}}}"
    sets = ["arms={}", "equimod={hidden: 16, dim: 8}", "training.optimizer.lr=0.01", method]
    if name == "dino":
        sets += ["augmentations.views.small={size: 12, ops: [{op: resized_crop, size: 12}]}"]
        sets += ["views.local=[small]"]
    run = load_run(tiny, sets)
    results = []
    for ends in ({}, {5: "stop", 9: "crash"}):
        folder = tmp_path / str(len(ends))
        finish(run, folder, make_trainer, ends)
        results.append(outcome(folder))
    assert_same(*results)


def test_a_target_network_and_the_optimiser_are_in_the_checkpoint(undisturbed) -> None:
    run, (checkpoint, _) = undisturbed
    names = checkpoint.part("learner").keys()
    assert any(name.startswith("method.target.") for name in names) == (
        run.shared.method.name == "byol"
    )
    assert any(name.startswith("equimod.") for name in names) == (run.shared.equimod is not None)
    assert checkpoint.part("optimizer")


def test_a_finished_run_does_not_train_again(undisturbed, make_trainer, tmp_path: Path) -> None:
    run, expected = undisturbed
    trainer = finish(run, tmp_path, make_trainer, {})
    again = make_trainer(run, tmp_path)
    assert again.step == STEPS
    assert again.images_per_second == trainer.images_per_second
    state = again.run().state_dict()
    for name, tensor in expected[0].part("learner").items():
        assert torch.equal(state[name], tensor), name
    assert_same(outcome(tmp_path), expected)


def test_no_epochs_leave_the_encoder_as_it_was(tiny: Path, make_trainer, tmp_path: Path) -> None:
    run = load_run(tiny, ["training.epochs=0"])
    learner = make_trainer(run, tmp_path, "simclr").run()
    checkpoint = load_checkpoint(tmp_path / "last.safetensors")
    assert checkpoint.header["step"] == 0
    for name, tensor in learner.state_dict().items():
        assert torch.equal(checkpoint.part("learner")[name], tensor), name


def test_what_a_killed_run_left_of_a_checkpoint_is_removed(
    tiny: Path, make_trainer, tmp_path: Path
) -> None:
    half = tmp_path / ".last.safetensors.123.tmp"
    half.write_bytes(b"half of a checkpoint")
    make_trainer(load_run(tiny), tmp_path, "simclr").run()
    assert not half.exists()
    half.write_bytes(b"left while the last one was kept as the best")
    make_trainer(load_run(tiny), tmp_path, "simclr").run()
    assert not half.exists()
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoints.jsonl",
        "last.safetensors",
        "metrics.jsonl",
        "tensorboard",
    }
