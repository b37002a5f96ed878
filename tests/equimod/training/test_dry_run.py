"""`equimod check`: numbers derived by hand, memory against what a real step takes, mistakes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import augspec
from equimod.cli import main, specs
from equimod.config import load_run
from equimod.data import DataError
from equimod.training.dry_run import ArmCheck, DryRunError, check_run
from equimod.training.learner import Learner
from equimod.training.step_memory import StepMemory

RUNS = sorted((specs() / "runs").glob("*.yaml"))


def checked(
    path: Path, *overrides: str, arm: str = "simclr", images: int | None = None
) -> ArmCheck:
    run = load_run(path, overrides)
    (check,) = check_run(replace(run, arms={arm: run.arms[arm]}), images)
    return check


def perceptron(*widths: int) -> int:
    """Parameters of a head: no biases, and batch norms with scale and shift between layers."""
    return sum(a * b for a, b in pairwise(widths)) + 2 * sum(widths[1:-1])


def test_the_numbers_of_a_small_run(tiny: Path) -> None:
    alone, joined = check_run(load_run(tiny))
    encoder = 9 * 3 * 16 + 2 * 16
    for i, o in pairwise((16, 32, 64, 128, 256)):
        encoder += 9 * i * o + 2 * o + 9 * o * o + 2 * o + i * o
    assert alone.encoder == joined.encoder == encoder
    head = perceptron(256, 16, 16, 8)
    assert alone.heads == head
    # p: codes to D, a batch norm with scale and shift; u: 2D to D, a batch norm without
    code = joined.code
    assert code == augspec.make_plan(load_run(tiny).spec).view("first").layout.width
    assert joined.heads == 2 * head + code * 8 + 2 * 8 + 16 * 8
    assert alone.target == joined.target == 0
    assert alone.code is None
    assert alone.views == {"first": (16, 16), "second": (16, 16)}
    assert joined.views == {"original": (16, 16), **alone.views}
    assert joined.widths == {"encoder": 256, "method": 8, "equimod": 8}
    points = joined.points
    assert (points.epoch_steps, points.steps, points.warmup) == (6, 12, 3)  # 96 images, 16 a step
    half = 0.05 * (1 + math.cos(math.pi * 3 / 9)) / 2
    assert points.rates == pytest.approx((0, 0.05, half, 0))
    assert points.weights == (1, 1, 1, 1) and alone.points.weights is None
    assert alone.loss is not None and math.isfinite(alone.loss)


def test_the_schedule_of_lambda_and_a_last_rate(tiny: Path) -> None:
    lines = ("weight=2", "weight_schedule=linear", "weight_final=0.5", "weight_warmup_epochs=1")
    overrides = [f"arms.simclr+equimod.equimod.{line}" for line in lines]
    points = checked(tiny, *overrides, "training.final_lr=0.01", arm="simclr+equimod").points
    # it rises for 6 of 12 steps, so that it is half-way up at the end of the rate's warm-up
    assert points.weights == pytest.approx((0, 1, 2, 0.5))
    assert points.rates[-1] == pytest.approx(0.01)


def test_a_target_network_is_counted_apart(tiny: Path) -> None:
    byol = checked(tiny, 'method={"name":"byol","hidden":32,"dim":8}')
    projector = 256 * 32 + 2 * 32 + 32 * 8 + 8
    assert byol.target == byol.encoder + projector
    assert byol.heads == projector + 8 * 32 + 2 * 32 + 32 * 8 + 8


def test_images_and_processes_decide_the_steps(tiny: Path) -> None:
    alone = checked(tiny, "training.devices=2", "training.nodes=2", images=1000)
    assert (alone.batch, alone.process_batch, alone.points.epoch_steps) == (16, 4, 62)


def test_images_that_are_held_out_take_no_part_in_steps(tiny: Path) -> None:
    assert checked(tiny, "held_out=32").points.epoch_steps == 4  # 64 images, 16 a step
    assert checked(tiny, "held_out=32", images=80).points.epoch_steps == 3
    with pytest.raises(DataError, match="batch_size is 16, more than the 8 images"):
        checked(tiny, "held_out=88")


def test_steps_are_unknown_without_a_number_of_images(tiny: Path) -> None:
    folder = 'data={"source":"folder","path":"nowhere","size":20}'
    points = checked(tiny, folder).points
    assert (points.epoch_steps, points.steps, points.warmup) == (None, None, None)
    assert points.rates == pytest.approx((0, 0.05, 0.0375, 0))
    assert checked(tiny, folder, images=64).points.steps == 2 * 4


def test_what_configurations_tell_of_their_images(tiny: Path, tmp_path: Path) -> None:
    data = load_run(tiny).shared.data
    built = data.build("train", tmp_path)
    assert data.known() == (len(built), built.image_size)
    for name, source, known in (
        ("cifar10", {}, (50_000, (32, 32))),
        ("cifar100", {}, (50_000, (32, 32))),
        ("stl10", {}, (105_000, (96, 96))),
        ("stl10", {"unlabeled": False}, (5_000, (96, 96))),
        ("folder", {"path": "ImageNet", "size": "original"}, (1_281_167, "original")),
        ("folder", {"path": "photos"}, (None, (224, 224))),
        ("parquet", {"path": "photos"}, (None, None)),
    ):
        override = f"data={json.dumps({'source': name, **source})}"
        assert load_run(tiny, [override]).shared.data.known() == known


def real_step(path: Path, name: str, overrides: list[str]) -> tuple[int, int]:
    """The most bytes that a later step takes, and those its backward pass needs of activations.

    The first as torch's allocator tells; both on real tensors of the real batch.
    """
    run = load_run(path, overrides)
    config, plan = run.arms[name], augspec.make_plan(run.spec)
    learner = Learner.from_config(config, plan.view("first").layout.width, plan)
    optimizer = learner.build_optimizer(config.training.optimizer)
    count = config.training.batch_size
    saved: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    def step() -> None:
        images = [torch.randn(count, 3, 16, 16) for _ in range(3)]
        codes = [torch.randn(count, plan.view("first").layout.width) for _ in range(2)]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            reference = images[0] if learner.needs_reference else None
            loss = learner(reference, images[1:], codes)["loss"]
        del images, reference
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    saved.clear()
    held = [*learner.parameters(), *learner.buffers(), *(p.grad for p in learner.parameters())]
    held += [x for state in optimizer.state.values() for x in state.values()]
    before = sum(x.nbytes for x in held if isinstance(x, Tensor))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    for weight in learner.parameters():
        saved.pop(weight.untyped_storage().data_ptr(), None)
    return before + most(profiled), sum(saved.values())


def most(profiled: profile) -> int:
    """The highest number of bytes that were allocated since a profile began."""
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak


@pytest.mark.parametrize(
    ("arm", "overrides"),
    [
        ("simclr", []),
        ("simclr+equimod", ['training.optimizer={"name":"adamw"}']),
        ("simclr+equimod", ['method={"name":"byol","hidden":512,"dim":64}']),
    ],
)
def test_memory_is_that_of_a_real_step(tiny: Path, arm: str, overrides: list[str]) -> None:
    overrides = [*overrides, "training.batch_size=512", "data.train=512"]
    memory = checked(tiny, *overrides, arm=arm).memory
    peak, saved = real_step(tiny, arm, overrides)
    # a CPU's convolutions copy weights and images into layouts of their own, and this counts them
    assert memory.peak == pytest.approx(peak, rel=0.1)
    # and a target network passes its views on while the online one's activations wait
    assert saved <= memory.rest <= 1.4 * saved


def test_memory_grows_with_the_batch_alone(tiny: Path) -> None:
    method = 'method={"name":"simsiam","dim":32,"hidden":16}'
    found = [
        checked(tiny, method, f"training.batch_size={count}", images=4096) for count in (256, 1024)
    ]
    parameters = found[0].encoder + found[0].heads
    small, large = (check.memory for check in found)
    assert (small.weights, small.gradients) == (large.weights, large.gradients)
    assert large.rest == pytest.approx(4 * small.rest, rel=0.01)
    assert small.gradients == 4 * parameters
    assert small.optimizer == small.gradients  # one buffer of momentum


def test_processes_share_what_their_strategy_shares() -> None:
    one = StepMemory(weights=100, gradients=80, optimizer=160, peak=1000)
    assert one.rest == 660 and one.shared(1, "fsdp") == one
    ddp, fsdp = one.shared(4, "ddp"), one.shared(4, "fsdp")
    assert (ddp.gradients, ddp.peak, ddp.rest) == (160, 1080, 660)
    assert (fsdp.weights, fsdp.gradients, fsdp.optimizer, fsdp.rest) == (25, 20, 40, 660)


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_every_run_passes(path: Path) -> None:
    run = load_run(path)
    if run.shared.training.batch_size >= 2048:  # which no single process holds
        run = load_run(path, ["training.devices=16"])
    # EquiMod's arm has all of the method's; the neighbours have each something of their own
    joined = {name: arm for name, arm in run.arms.items() if arm.equimod or arm.neighbour}
    run = replace(run, arms=joined)
    for check in check_run(run):
        assert check.points.steps and check.points.epoch_steps
        assert check.points.steps == run.arms[check.name].training.epochs * check.points.epoch_steps
        assert max(check.points.rates) == run.arms[check.name].training.optimizer.lr
        assert check.memory.rest > 0
        assert check.loss is None or math.isfinite(check.loss)


def refused(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in ("check", *words)])
    return int(ended.value.code or 0)


def test_the_command_shows_a_table_and_warns(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(tiny, "--gpu-memory", "0.01", "--set", "training.batch_size=32") == 0
    shown = capsys.readouterr().out
    for expected in (
        "simclr",
        "+equimod",
        "3 of 16x16",
        "32 images",
        "lr 0.05 warm",
        "warning: arm",
    ):
        assert expected in shown
    assert refused(tiny, "--gpu-memory", "80") == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--set", "training.devices=5"), "5 processes cannot share equally"),
        (("--images", "10"), "more than the 10 images"),
        (("--images", "0"), "--images must be more than 0"),
        (("--set", "data.size=12", "--set", "augmentations.image.size=16"), "(image.size)"),
        (
            ("--set", 'arms={"a":{"neighbour":{"name":"augself","crop":0,"color":0}}}'),
            "all weights",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(
    tiny: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    assert refused(tiny, *words) == 2
    told = capsys.readouterr()
    assert expected in told.err and told.err.count("\n") == 1
    assert "Traceback" not in told.err + told.out


def test_errors_name_run_and_arm(tiny: Path) -> None:
    with pytest.raises(DataError, match="run 'tiny', arm 'simclr': training"):
        checked(tiny, images=3)
    arms = 'arms={"a":{"neighbour":{"name":"augself","crop":0,"color":0}}}'
    with pytest.raises(DryRunError, match=r"run 'tiny', arm 'a': .*all weights are 0"):
        checked(tiny, arms, arm="a")
