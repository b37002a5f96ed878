"""Each neighbour in a run: it trains, resumes exactly, and does on two processes as on one."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
import torch
from float64_steps import float64_steps

import augspec
from augspec import SpecError
from equimod.config import Run, load_run
from equimod.encoders import small
from equimod.published import specs
from equimod.ssl import MethodConfig
from equimod.training.checkpoint import differences, load_checkpoint
from equimod.training.devices import make_fabric
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.learner import Learner
from equimod.training.origin import _decisive
from equimod.training.trainer import Trainer

STEPS = 4
SMALL = {
    "augself": "{name: augself, hidden: 8, flip: 0.3}",
    "cassle": "{name: cassle, width: 8, depth: 2}",
    "essl": "{name: essl, hidden: 16}",
    "care": "{name: care, hidden: 16, dim: 8}",
    "sie": "{name: sie, hidden: 16, dim: 16}",
    "sie beside simclr": "{name: sie, hidden: 16, dim: 16, invariance: 0, method_weight: 1}",
    "sen": "{name: sen, hidden: 16, points: 4}",
    "stl": "{name: stl, views: [pair_first, pair_second], hidden: 16, dim: 8, code_dim: 4}",
    "seq-jepa": "{name: seq-jepa, hidden: 16, width: 8}",
}
TINY = [
    "arms={}",
    "data={source: shapes, train: 128, test: 32, size: 32}",
    "method={name: simclr, hidden: 16, dim: 8}",
    "training.optimizer={name: sgd, lr: 0.01}",
    "training.batch_size=32",
    "training.epochs=1",
    "training.warmup_epochs=0",
    "training.log_every=1",
]


def run_of(case: str, *overrides: str) -> Run:
    path = specs() / "runs" / "neighbours.yaml"
    return load_run(path, [*TINY, f"neighbour={SMALL[case]}", *overrides])


def steps(
    case: str, meeting: Path, rank: int = 0, world: int = 1, strategy: str = "ddp"
) -> list[torch.Tensor]:
    """The losses of two steps in float64, and the weights and statistics after them."""
    return float64_steps(run_of(case), 2, meeting, rank, world, strategy)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("case", [*SMALL, "cassle, sharded", "sie, sharded"])
def test_two_processes_take_the_steps_of_one(
    pool: ProcessPoolExecutor, one_thread: None, tmp_path: Path, case: str
) -> None:
    name, _, how = case.partition(", ")
    shared = (2, "fsdp" if how == "sharded" else "ddp")
    work = [pool.submit(steps, name, tmp_path / "meet", rank, *shared) for rank in range(2)]
    expected = steps(name, tmp_path / "meet")
    for each in work:
        for mine, theirs in zip(each.result(timeout=240), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


def train(run: Run, folder: Path, after: Callable[[int, StopFlag], None]) -> Learner:
    """Trains to the end, as often stopped as `after` asks for."""
    config = run.shared
    data = config.data.build("train", run.base)
    fabric = make_fabric(config)
    fabric.launch()
    while True:
        stop = StopFlag()

        def progress(
            step: int, total: int, values: dict[str, float], stop: StopFlag = stop
        ) -> None:
            assert total == STEPS
            after(step, stop)

        try:
            return Trainer(config, run.spec, data, folder, fabric, stop, progress=progress).run()
        except InterruptedRunError:
            continue


@pytest.mark.parametrize("case", SMALL)
def test_it_trains_and_resumes_exactly(one_thread: None, tmp_path: Path, case: str) -> None:
    run = run_of(case)
    begun = Learner.from_config(run.shared, 1, augspec.make_plan(run.spec)).state_dict()
    whole = train(run, tmp_path / "whole", lambda step, stop: None)
    left = [2]

    def interrupt(step: int, stop: StopFlag) -> None:
        if step in left:
            left.remove(step)
            stop.signal = signal.SIGTERM

    train(run, tmp_path / "parts", interrupt)
    assert not left
    a, b = (load_checkpoint(tmp_path / k / "last.safetensors") for k in ("whole", "parts"))
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert torch.equal(tensor, b.tensors[name]), name
    records = [(tmp_path / k / "metrics.jsonl").read_bytes() for k in ("whole", "parts")]
    assert records[0] == records[1]
    assert (b'"loss/neighbour"' in records[0]) == (case != "cassle")
    moved = {n for n, t in whole.state_dict().items() if not torch.equal(t, begun[n])}
    assert any(name.startswith("encoder.") for name in moved)
    assert any(name.startswith("neighbour.") for name in moved)


def test_arms_of_one_seed_start_from_one_encoder() -> None:
    plan = augspec.make_plan(run_of("essl").spec)
    alone = Learner.from_config(run_of("essl", "neighbour=null").shared, 1).state_dict()
    for case in SMALL:
        beside = Learner.from_config(run_of(case).shared, 1, plan).state_dict()
        for name in (n for n in alone if n.startswith("encoder.")):
            assert torch.equal(alone[name], beside[name]), (case, name)


@pytest.mark.parametrize(
    ("case", "overrides", "message"),
    [
        ("essl", ["equimod={hidden: 8}"], "'essl' stands beside the method instead of `equimod`"),
        ("essl", ["neighbour.view=turned_1"], "needs view 'turned_1', .* did you mean 'turned_0'"),
        ("care", ["neighbour.chunk=32", "training.batch_size=64"], "32 images in a row .* shares"),
        ("care", ["training.batch_size=40"], r"needs a multiple of 16 images .* got 40"),
        ("stl", ["neighbour.views=null"], "2 images in a row to share draws in view 'first'"),
        ("sen", ["neighbour={name: senn}"], "'senn'"),
    ],
)
def test_what_does_not_fit_is_refused_when_read(
    case: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        run_of(case, *overrides)


@pytest.mark.parametrize("case", ["cassle", "sie"])
@pytest.mark.parametrize("method", ["byol", "moco_v3", "dino"])
def test_a_target_network_that_would_not_see_the_change_is_refused(case: str, method: str) -> None:
    message = f"the target network of '{method}' would not see .*simclr, barlow_twins"
    with pytest.raises(SpecError, match=message):
        run_of(case, f"method={{name: {method}}}")


def test_what_is_said_of_methods_is_so() -> None:
    """Each method's config knows whether it has a target network."""
    for config in get_args(get_args(MethodConfig)[0]):
        with torch.random.fork_rng():
            method = config().build(small())
        frozen = any(not p.requires_grad for p in method.parameters())
        assert frozen == config.has_target, config


def test_a_checkpoint_from_before_there_were_neighbours_is_of_the_same_run() -> None:
    now = _decisive(run_of("essl", "neighbour=null").shared)
    before = {field: value for field, value in now.items() if field != "neighbour"}
    assert now.keys() - before.keys() == {"neighbour"}
    assert differences(now, before) == []
