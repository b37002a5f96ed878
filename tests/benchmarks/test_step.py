"""The benchmark of a training step runs, and the step that it times is the trainer's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

import augspec
from equimod.config import Run, load_run
from equimod.training.devices import make_fabric
from equimod.training.interrupt import StopFlag
from equimod.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "step.py"
VIEWS = ("first", "second")
COMMON = ["data", "draw", "render", "encoder", "loss", "backward", "optimiser", "reading"]
"""The parts of every arm's step, in their order."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a quick run writes."""
    out = tmp_path_factory.mktemp("benchmark")
    arguments = ("--quick", "--threads", "1", "--repeats", "3", "--out", str(out))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def document(written: Path) -> dict[str, Any]:
    return json.loads((written / "step.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arms(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {arm["name"]: arm for arm in document["arms"]}


def test_all_arms_are_there_with_their_encoder_passes(arms: dict[str, dict[str, Any]]) -> None:
    passes = {name: arm["encoder_passes"] for name, arm in arms.items()}
    assert passes == {"simclr": 2, "original": 3, "pair": 2}


def test_the_codes_are_those_of_the_view_and_of_the_pair(arms: dict[str, dict[str, Any]]) -> None:
    pipeline = augspec.compile(augspec.load(ROOT / "specs/augmentations/simclr-cifar10.yaml"))
    assert arms["original"]["code_columns"] == pipeline.layouts["first"].width
    drawn = pipeline(torch.zeros(1, 3, 32, 32), ids=torch.arange(1), epoch=0).params
    between = augspec.relative(pipeline, drawn["first"], drawn["second"], (32, 32), views=VIEWS)
    assert arms["pair"]["code_columns"] == between.layout.width


@pytest.mark.parametrize("name", ["simclr", "original", "pair"])
def test_the_parts_make_up_the_step(arms: dict[str, dict[str, Any]], name: str) -> None:
    measured = dict(arms[name]["measured"])
    whole = measured.pop("whole")
    relative = ["relative"] if name == "pair" else []
    assert [*measured] == [*COMMON[:3], *relative, *COMMON[3:]]
    assert all(time > 0 for times in measured.values() for time in times)
    sums = [sum(step) for step in zip(*measured.values(), strict=True)]
    # the host's clock against the parts' marks; a busy machine may come between two of them once
    shares = [parts / step for parts, step in zip(sums, whole, strict=True)]
    assert len(shares) == 3
    assert median(shares) == pytest.approx(1, rel=0.1)


def test_quartiles_and_the_extra_are_those_of_what_was_measured(
    arms: dict[str, dict[str, Any]], document: dict[str, Any]
) -> None:
    base = arms["simclr"]["measured"]["whole"]
    for arm in arms.values():
        whole = arm["measured"]["whole"]
        time, rate = arm["milliseconds"], arm["images_per_second"]
        assert time["q1"] <= time["median"] == median(whole) <= time["q3"]
        assert rate["median"] * time["median"] == pytest.approx(document["batch"] * 1e3)
        for part, quartiles in arm["parts"].items():
            own = arm["measured"][part]
            assert quartiles["median"] == median(own)
            shares = [time / step for time, step in zip(own, whole, strict=True)]
            assert arm["shares"][part] == pytest.approx(median(shares))
        ratios = [step / other - 1 for step, other in zip(whole, base, strict=True)]
        assert arm["extra"]["median"] == pytest.approx(median(ratios))


def test_the_page_names_machine_versions_parts_and_extras(
    written: Path, document: dict[str, Any], arms: dict[str, dict[str, Any]]
) -> None:
    page = (written / "step.md").read_text(encoding="utf-8")
    assert document["machine"]["processor"] in page
    assert f"torch {torch.__version__.split('+')[0]}" in page
    assert "A quick run" in page
    for name in ("original", "pair"):
        assert f"{arms[name]['extra']['median']:+.1%}" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows[:12]}) == 1  # the parts, the whole, two for heads
    assert sum("encoder, forward" in line for line in rows) == 1


@pytest.fixture
def tiny() -> Run:
    """Four steps of the run for two CPU cores."""
    changes = (
        "data={source: shapes, train: 32, test: 1, size: 32}",
        "training.batch_size=8",
        "training.epochs=1",
        "training.warmup_epochs=0.5",
        "training.accelerator=cpu",
    )
    return load_run(ROOT / "specs/runs/cifar10-cpu.yaml", changes)


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the benchmarks' own modules are found."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("arm", ["simclr", "simclr+equimod"])
def test_the_timed_step_is_the_trainers(tiny: Run, arm: str, tmp_path: Path) -> None:
    from step_bench.timed import TimedStep

    config = tiny.arms[arm]
    data, fabric = config.data.build("train", tiny.base), make_fabric(config)
    fabric.launch()
    trainer = Trainer(config, tiny.spec, data, tmp_path, fabric, StopFlag())
    before = {name: value.clone() for name, value in trainer.learner.state_dict().items()}
    theirs = trainer.run().state_dict()
    timed = TimedStep(config, tiny.spec, data, fabric)
    for _ in range(trainer.total_steps):
        timed.run()
    ours = timed.learner.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    weight = "encoder.network.0.weight"
    assert not torch.equal(before[weight], ours[weight])


def test_the_pair_learns_with_the_code_from_the_first_view_to_the_second(tiny: Run) -> None:
    from step_bench.pair import between
    from step_bench.timed import TimedStep

    config = tiny.arms["simclr+equimod"]
    data, fabric = config.data.build("train", tiny.base), make_fabric(config)
    fabric.launch()
    timed = TimedStep(config, tiny.spec, data, fabric, reference="pair")
    seen: list[tuple[Any, ...]] = []
    timed.learner.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    timed.run()
    (reference, views, codes), learner = seen[0], timed.learner
    assert reference is None
    assert learner.equimod is not None
    grads = [p.grad for p in learner.equimod.parameters()]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads)

    ids = torch.tensor([3, 5])
    params = timed.pipeline.decode(timed.pipeline.draw(ids, 0, (32, 32)))
    maps = [
        augspec.geometry(timed.pipeline, params[name], (32, 32), view=name)[0].matrix
        for name in VIEWS
    ]
    relative = between(timed.pipeline, params, (32, 32), VIEWS)
    torch.testing.assert_close(relative.matrix @ maps[0], maps[1])
    assert [code.shape for code in codes] == [(8, relative.layout.width)]

    h1, h2 = learner.features(views)
    expected = learner.equimod(h1, [h2], codes).loss
    found = learner(None, views, codes)
    torch.testing.assert_close(found["equivariance"], expected.detach())
    torch.testing.assert_close(found["loss"].detach(), found["invariance"] + found["equivariance"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch", "1"), "--batch 1: must be 2 or more"),
        (("--repeats", "0"), "--repeats 0: must be 1 or more"),
        (("--threads", "0"), "--threads 0: must be 1 or more"),
        (("--encoder", "resnet"), 'Did you mean "resnet18"?'),
    ],
)
def test_a_mistake_of_the_caller_is_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import step

    assert step.main([*arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1
