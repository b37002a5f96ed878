"""How much trained heads use their codes, as the monitor of a run has it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

import augspec
from equimod.config import load_run
from equimod.data import CorruptReport
from equimod.records import read_metrics
from equimod.training.measure import Bench
from equimod.training.origin import code_reader
from equimod.training.trainer import Trainer

COLOURS = """\
version: 1
name: colours
normalize: {mean: [0.5], std: [0.25]}
views:
  original: {ops: []}
  first: &view
    ops:
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, brightness: 0.6, contrast: 0.2, saturation: 0.6, hue: 0.3}
  second: *view
"""
BASE = [
    "arms={}",
    "augmentations=colours.yaml",
    "data={source: shapes, train: 256, test: 200, size: 16}",
    "training.epochs=5",
    "training.batch_size=32",
    "training.warmup_epochs=0",
    "training.optimizer={name: adamw, lr: 2.0e-3}",
]
HEAD = "hidden: 32, dim: 16, codes: {standardise: spec}"


@pytest.fixture(scope="module")
def colours(tiny: Path, tmp_path_factory) -> Path:
    """The tiny run with views that differ in colour, which a small head learns in seconds."""
    folder = tmp_path_factory.mktemp("colours")
    (folder / "colours.yaml").write_text(COLOURS)
    return Path(shutil.copy(tiny, folder))


def monitored(document: Path, folder: Path, make_trainer, equimod: str) -> tuple[Trainer, Bench]:
    """A training whose monitor is the one of a run."""
    run = load_run(document, [*BASE, f"equimod={equimod}"])
    config = run.shared
    train, test = (config.data.build(split, run.base) for split in ("train", "test"))
    pipeline = augspec.compile(run.spec, seed=config.seed)
    bench = Bench(
        train=train,
        test=test,
        pipeline=pipeline,
        reference=config.views.reference,
        views=config.views.augmented,
        config=config.evaluation,
        seed=config.seed,
        device=torch.device("cpu"),
        corrupt={"train": CorruptReport(), "test": CorruptReport()},
        reader=code_reader(pipeline, config),
    )
    trainer = make_trainer(run, folder)
    trainer.monitor = lambda learner: bench.collapse(
        learner.encoder, learner.attached, learner.equimod
    )
    return trainer, bench


def gains(folder: Path) -> list[float]:
    """After each epoch."""
    records = read_metrics(folder / "metrics.jsonl")
    return [r["monitor/shuffled_gain"] for r in records if "monitor/features_std" in r]


@pytest.mark.parametrize("options", ["reference: original", "reference: pair", "layer: layer2"])
def test_a_trained_head_uses_its_codes(
    options: str, colours: Path, tmp_path: Path, make_trainer
) -> None:
    trainer, bench = monitored(colours, tmp_path, make_trainer, f"{{{HEAD}, {options}}}")
    before = trainer.monitor(trainer.learner)["monitor/shuffled_gain"]
    learner = trainer.run()
    found = gains(tmp_path)
    assert len(found) == 5
    assert abs(before) < 0.05 < 0.12 < found[-1]
    # every process has this value, whatever mode the modules are in
    modules = learner.encoder, learner.attached, learner.equimod
    other = dataclasses.replace(bench, rank=1, world_size=2)
    learner.eval()
    assert other.collapse(*modules)["monitor/shuffled_gain"] == found[-1]


def test_a_head_that_was_told_of_others_has_not_learned_to(
    colours: Path, tmp_path: Path, make_trainer
) -> None:
    equimod = f"{{{HEAD}, control: shuffled_codes}}"
    monitored(colours, tmp_path, make_trainer, equimod)[0].run()
    assert max(map(abs, gains(tmp_path))) < 0.06


@pytest.mark.parametrize("reference", ["original", "pair"])
def test_without_codes_it_is_zero_to_the_last_bit(
    reference: str, colours: Path, tmp_path: Path, make_trainer
) -> None:
    equimod = f"{{{HEAD}, control: zero_codes, reference: {reference}}}"
    trainer, _ = monitored(colours, tmp_path, make_trainer, equimod)
    trainer.total_steps = 16
    trainer.run()
    assert gains(tmp_path) == [0.0, 0.0]


def test_the_method_alone_has_none(colours: Path, tmp_path: Path, make_trainer) -> None:
    trainer, _ = monitored(colours, tmp_path, make_trainer, "null")
    found = trainer.monitor(trainer.learner)
    assert list(found) == ["monitor/features_rankme", "monitor/features_std"]
    assert trainer.learner.attached is trainer.learner.encoder
