"""Every option of EquiMod trains, is resumed exactly, and does what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from equimod.config import Run, load_run
from equimod.records import read_metrics
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.trainer import Trainer

STEPS = 6
BASE = ["arms={}", "training.epochs=1", "training.log_every=1", "training.warmup_epochs=0"]
SMALL = "hidden: 16, dim: 8, predictor_hidden: 16"
OPTIONS = {
    "residual": "predictor: residual",
    "film": "predictor: film",
    "low_rank": "predictor: low_rank, rank: 2",
    "cosine": "loss: cosine, stop_gradient: true",
    "vicreg": "loss: vicreg",
    "linear weight": "weight_schedule: linear, weight_warmup_epochs: 0.5",
    "cosine weight": "weight: 0.0, weight_schedule: cosine, weight_final: 2.0",
}


def configured(tiny: Path, options: str, *overrides: str) -> Run:
    return load_run(tiny, [*BASE, f"equimod={{{SMALL}, {options}}}", *overrides])


def trained(trainer: Trainer) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in trainer.run().state_dict().items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_epoch_and_the_same_with_an_interruption(
    name: str, tiny: Path, tmp_path: Path, make_trainer
) -> None:
    run = configured(tiny, OPTIONS[name])
    whole = make_trainer(run, tmp_path / "whole")
    before = {key: p.detach().clone() for key, p in whole.learner.named_parameters()}
    expected = trained(whole)
    assert whole.step == STEPS
    unmoved = [key for key, p in before.items() if torch.equal(expected[key], p)]
    assert not unmoved
    stop = StopFlag()

    def progress(step: int, *_: object) -> None:
        stop.signal = 15 if step == 3 else None

    with pytest.raises(InterruptedRunError):
        make_trainer(run, tmp_path / "parts", stop=stop, progress=progress).run()
    found = trained(make_trainer(run, tmp_path / "parts"))
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key
    records = [read_metrics(tmp_path / part / "metrics.jsonl") for part in ("whole", "parts")]
    assert records[0] == records[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("weight_warmup_epochs: 0.5", [0, 2 / 3, 4 / 3, 2, 2, 2]),
        (OPTIONS["linear weight"], [0, 2 / 3, 4 / 3, 2, 4 / 3, 2 / 3]),
        ("weight_schedule: linear, weight_final: 2.0", [2] * 6),
    ],
)
def test_lambda_follows_its_schedule_and_is_recorded(
    options: str, expected: list[float], tiny: Path, tmp_path: Path, make_trainer
) -> None:
    make_trainer(configured(tiny, f"{options}, weight: 2"), tmp_path).run()
    records = [r for r in read_metrics(tmp_path / "metrics.jsonl") if "lr" in r]
    assert [r["equimod_weight"] for r in records] == pytest.approx(expected)
    for r in records:
        parts = r["loss/invariance"] + r["equimod_weight"] * r["loss/equivariance"]
        assert r["loss/total"] == pytest.approx(parts, rel=1e-5)


def test_a_warm_up_of_lambda_longer_than_the_run_is_refused(tiny: Path) -> None:
    with pytest.raises(Exception, match=r"must be <= training.epochs \(1\), got 2"):
        configured(tiny, "weight_warmup_epochs: 2")
