"""A whole run: every arm trained and measured, the results written and shown."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric
from rich.console import Console

import augspec
from equimod.config import Run, RunConfig
from equimod.data import CorruptReport, ImageData
from equimod.report import (
    ArmResult,
    Overview,
    RunSummary,
    render,
    to_markdown,
    write_overview,
    write_summary,
)
from equimod.report.results import THROUGHPUT
from equimod.training.folder import RunFolder
from equimod.training.interrupt import StopFlag
from equimod.training.learner import Learner
from equimod.training.measure import Bench
from equimod.training.metrics import read_metrics
from equimod.training.progress import ArmProgress
from equimod.training.trainer import Trainer, make_fabric, trained_learner


class Execution:
    """One pass over a run: trains what is not yet trained, measures, and reports.

    Args:
        run: what to do.
        folder: where everything goes.
        base_dir: where relative data paths begin.
        console: where a person reads.
        stop: asks for a stop after the current step.
    """

    def __init__(
        self, run: Run, folder: RunFolder, base_dir: Path, console: Console, stop: StopFlag
    ) -> None:
        self.run, self.folder, self.console, self.stop = run, folder, console, stop
        self.fabric: Fabric = make_fabric(run.shared)
        self.fabric.launch()
        self.main = self.fabric.is_global_zero
        self.console.quiet = not self.main
        self.train, self.test = self._data(base_dir)
        self.corrupt = CorruptReport()

    def _data(self, base_dir: Path) -> tuple[ImageData, ImageData]:
        """Both splits; the first process alone downloads what is missing."""
        config = self.run.shared.data
        if not self.main:
            self.fabric.barrier()
        with self.console.status("reading the data"):
            train, test = config.build("train", base_dir), config.build("test", base_dir)
        if self.main:
            self.fabric.barrier()
        self.console.print(f"data    {train.describe()}; {len(test):,} for test")
        return train, test

    def execute(self) -> RunSummary:
        """Trains and measures every arm.

        Raises:
            InterruptedRunError: a stop was asked for; the same call continues.
            CheckpointError: an arm's checkpoint is damaged or of another run.
            DataError: the data cannot be read, or do not fit the run.
        """
        for name, config in self.run.arms.items():
            Trainer.check(config, self.run.spec, self.train, self.folder.arm(name))
        if self.main:
            self.folder.record(self.run)
        arms = {}
        for name, config in self.run.arms.items():
            arms[name] = self._trained(name, config)
        return self._report(arms)

    def evaluate(self) -> RunSummary:
        """Measures every arm from its checkpoint, without training.

        Raises:
            CheckpointError: an arm has no checkpoint, or a damaged one.
        """
        arms = {
            name: trained_learner(config, self.run.spec, self.folder.arm(name), self.fabric)
            for name, config in self.run.arms.items()
        }
        return self._report(arms)

    def _trained(self, name: str, config: RunConfig) -> tuple[Learner, float]:
        bench = self._bench(config)
        with ArmProgress(self.console, name) as progress:
            trainer = Trainer(
                config,
                self.run.spec,
                self.train,
                self.folder.arm(name),
                self.fabric,
                self.stop,
                progress=progress.update,
                validate=lambda learner: bench.knn(learner.encoder),
            )
            learner = trainer.run()
        self.corrupt.errors.update(trainer.corrupt.errors)
        return learner, trainer.images_per_second

    def _bench(self, config: RunConfig) -> Bench:
        return Bench(
            train=self.train,
            test=self.test,
            pipeline=augspec.compile(self.run.spec, seed=config.seed).to(self.fabric.device),
            reference=config.views.reference,
            views=config.views.augmented,
            config=config.evaluation,
            seed=config.seed,
            device=self.fabric.device,
            corrupt=self.corrupt,
        )

    def _report(self, arms: dict[str, tuple[Learner, float]]) -> RunSummary:
        """Measures everything, writes the results and prints the table."""
        # every process computes the same; the probe's loss would wait for processes left out
        summary = RunSummary(
            title=self.run.name,
            data=f"{self.train.describe()}; {len(self.test):,} for test",
            labels=self.train.label_names,
            baselines=self._baselines(),
            arms=tuple(self._measured(name, *trained) for name, trained in arms.items()),
        )
        if self.main:
            write_summary(self.folder.summary, summary)
            augspec.write_atomically(self.folder.table, to_markdown(summary))
            shared = self.run.shared
            samples = self._bench(shared).samples()
            write_overview(self.folder.overview, Overview(summary, samples))
        self.console.print(render(summary))
        if self.corrupt:
            self.console.print(f"[yellow]{self.corrupt.describe()}[/yellow]")
        self.console.print(f"results in {self.folder.root} (look at {self.folder.overview.name})")
        return summary

    def _baselines(self) -> tuple[ArmResult, ...]:
        config = self.run.shared
        bench = self._bench(config)
        found = []
        if "pixels" in config.evaluation.baselines:
            with self.console.status("raw pixels: k-NN"):
                found.append(bench.pixels())
        if "random" in config.evaluation.baselines:
            encoder = Learner.from_config(config, 1).encoder.to(self.fabric.device)
            with self.console.status("random initialisation") as status:
                found.append(
                    bench.encoder(
                        "random initialisation",
                        encoder,
                        lambda what: status.update(f"random initialisation: {what}"),
                    )
                )
        return tuple(found)

    def _measured(self, name: str, learner: Learner, speed: float) -> ArmResult:
        config = self.run.arms[name]
        bench = self._bench(config)
        with self.console.status(name) as status:
            result = bench.encoder(
                name, learner.encoder, lambda what: status.update(f"{name}: {what}")
            )
            metrics = dict(result.metrics)
            single: dict[str, dict[str, float]] = {}
            if learner.equimod is not None:
                status.update(f"{name}: its own head")
                own, single = bench.head(learner.encoder, learner.equimod)
                metrics |= own
        if speed:
            metrics[THROUGHPUT] = speed
        return ArmResult(
            name=name,
            seed=config.seed,
            metrics=metrics,
            history=tuple(_history(self.folder.arm(name))),
            per_augmentation=single,
        )


def _history(folder: Path) -> list[dict[str, float]]:
    """The means of each epoch, from the arm's record."""
    records = read_metrics(folder / "metrics.jsonl")
    return [
        {k.removeprefix("epoch/"): float(v) for k, v in record.items() if k != "step"}
        for record in records
        if any(k.startswith("epoch/") for k in record)
    ]
