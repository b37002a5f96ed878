"""A whole run: every arm trained and measured, the results written and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from lightning_fabric import Fabric
from rich.console import Console

import augspec
from augspec import Spec
from equimod.config import Run, RunConfig
from equimod.data import CorruptReport, ImageData, hold_out
from equimod.data.base import CorruptImageError
from equimod.distributed import all_objects, alone
from equimod.records import METRICS, read_metrics
from equimod.report import (
    ArmResult,
    Overview,
    RunSummary,
    render,
    to_markdown,
    write_overview,
    write_summary,
)
from equimod.report.results import HELD_OUT_IMAGES, TEST_SPLIT, THROUGHPUT
from equimod.training.devices import make_fabric
from equimod.training.folder import RunFolder
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.keep import LAST
from equimod.training.learner import Learner
from equimod.training.lock import locked
from equimod.training.measure import Bench
from equimod.training.origin import code_layout, code_reader
from equimod.training.progress import ArmProgress
from equimod.training.require import require_equal_shares, require_images
from equimod.training.trained import trained_learner
from equimod.training.trainer import Trainer

T = TypeVar("T")


class Execution:
    """One pass over a run: trains what is not yet trained, measures, and reports.

    Args:
        run: what to do.
        folder: where everything goes.
        base_dir: where relative data paths begin.
        console: where a person reads.
        trained: the augmentations and the folder of the training, where it was another run's and
            this one only measures.

    Raises:
        DataError: the data cannot be read.
        DeviceError: there are fewer devices than the run asks for.
    """

    def __init__(
        self,
        run: Run,
        folder: RunFolder,
        base_dir: Path,
        console: Console,
        *,
        trained: tuple[Spec, RunFolder] | None = None,
    ) -> None:
        self.run, self.folder, self.console = run, folder, console
        self.trained_spec, self.trained_folder = trained or (run.spec, folder)
        self.fabric: Fabric = make_fabric(run.shared)
        self.fabric.launch()
        self.main = self.fabric.is_global_zero
        self.console.quiet = not self.main
        self._say(f"run     {run.name}: {', '.join(run.arms)}")
        self.train, self.test = self._data(base_dir)
        self._say(f"data    {self._described}")
        self.corrupt = {"train": CorruptReport(), "test": CorruptReport()}

    def _say(self, line: str, style: str | None = None) -> None:
        """Prints what may hold names of files: unbroken, and without reading it as markup."""
        self.console.print(line, style=style, markup=False, soft_wrap=True)

    def _first(self, work: Callable[[], T]) -> T | None:
        """Runs `work` on the first process alone, whose failure ends the others quietly.

        Raises:
            InterruptedRunError: on the others, where it failed on the first.
        """
        result, problem = None, None
        if self.main:
            try:
                result = work()
            except Exception as error:
                problem = error
        failed = self.fabric.broadcast(problem is not None)
        if problem is not None:
            raise problem
        if failed:
            raise InterruptedRunError("the first process has failed")
        return result

    @contextmanager
    def alone_in(self, folder: RunFolder, patience: float) -> Iterator[None]:
        """Holds a run's folder: no other process writes there in the meantime.

        Raises:
            LockedError: another process holds it, `patience` seconds later still.
            InterruptedRunError: on the other processes of this run, if the first has failed so.
        """
        with ExitStack() as held:
            self._first(lambda: held.enter_context(locked(folder.root, patience)))
            yield

    def _data(self, base_dir: Path) -> tuple[ImageData, ImageData]:
        """Both splits; the first process alone downloads what is missing."""
        config, held_out = self.run.shared.data, self.run.shared.held_out

        def build() -> tuple[ImageData, ImageData]:
            with self.console.status("reading the data"):
                train = config.build("train", base_dir)
                if held_out:
                    return hold_out(train, held_out)
                return train, config.build("test", base_dir)

        return self._first(build) or build()

    @property
    def _described(self) -> str:
        use = "held out of them" if self.run.shared.held_out else "for test"
        return f"{self.train.describe()}; {len(self.test):,} {use}"

    def execute(self, stop: StopFlag, *, restart: bool = False) -> RunSummary:
        """Trains and measures every arm; see `train_arms`."""
        return self._report(self.train_arms(stop, restart=restart))

    def train_arms(
        self, stop: StopFlag, *, restart: bool = False
    ) -> dict[str, tuple[Learner, float]]:
        """Trains every arm.

        Args:
            stop: listens for signals while an arm is trained, and asks for a stop after a step.
            restart: delete what was trained before.

        Returns:
            For each arm its modules, and the images per second of its training.

        Raises:
            InterruptedRunError: a stop was asked for; the same call continues.
            CheckpointError: an arm's checkpoint is damaged or of another run.
            DataError: the data do not fit the run.
            FloatingPointError: a training has diverged.
        """
        self._first(lambda: self._prepare(restart))
        arms = self.run.arms.items()
        return {name: self._trained(name, config, stop) for name, config in arms}

    def _prepare(self, restart: bool) -> None:
        """Checks that all arms can be trained and measured before the first one starts."""
        require_images(self.run.spec, self.train.image_size, self.train.describe())
        for name, config in self.run.arms.items():
            require_equal_shares(config.training.batch_size, self.fabric.world_size)
            self._bench(config).check()
            folder = None if restart else self.folder.arm(name)
            Trainer.check(config, self.run.spec, self.train, folder)
        if restart:
            self.folder.clear(self.run)
        self.folder.record(self.run)

    def evaluate(self, checkpoint: str = LAST) -> RunSummary:
        """Measures every arm from a checkpoint, without training.

        Args:
            checkpoint: which, such as `best`.

        Raises:
            CheckpointError: an arm has no checkpoint, or a damaged or unfinished one.
            LayoutMismatchError: its head cannot read the codes of the augmentations.
            DataError: the data do not fit what is asked for.
        """
        require_images(self.run.spec, self.train.image_size, self.train.describe())
        arms = {}
        plan = augspec.make_plan(self.run.spec)
        for name, config in self.run.arms.items():
            self._bench(config).check()
            arms[name] = trained_learner(
                config,
                self.trained_spec,
                self.train,
                self.trained_folder.arm(name),
                self.fabric.device,
                reads=code_layout(plan, config),
                checkpoint=checkpoint,
            )
        return self._report(arms)

    def _trained(self, name: str, config: RunConfig, stop: StopFlag) -> tuple[Learner, float]:
        bench = self._bench(config)
        with stop.listening(), ArmProgress(self.console, name) as progress:
            trainer = Trainer(
                config,
                self.run.spec,
                self.train,
                self.folder.arm(name),
                self.fabric,
                stop,
                progress=progress.update,
                validate=lambda learner: bench.knn(learner.encoder),
                monitor=lambda learner: bench.collapse(
                    learner.encoder, learner.attached, learner.equimod
                ),
            )
            learner = trainer.run()
        self.corrupt["train"].errors.update(trainer.corrupt.errors)
        return learner, trainer.images_per_second

    def _bench(self, config: RunConfig) -> Bench:
        pipeline = augspec.compile(self.run.spec, seed=config.seed).to(self.fabric.device)
        return Bench(
            train=self.train,
            test=self.test,
            pipeline=pipeline,
            reference=config.views.reference,
            views=config.views.augmented,
            config=config.evaluation,
            seed=config.seed,
            device=self.fabric.device,
            corrupt=self.corrupt,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
            reader=code_reader(pipeline, config),
        )

    def _report(self, arms: dict[str, tuple[Learner, float]]) -> RunSummary:
        """Measures everything, writes the results and prints the table."""
        with alone():  # every process computes the same
            summary = RunSummary(
                title=self.run.name,
                data=self._described,
                measured_on=HELD_OUT_IMAGES if self.run.shared.held_out else TEST_SPLIT,
                labels=self.train.label_names,
                baselines=self._baselines(),
                arms=tuple(self._measured(name, *trained) for name, trained in arms.items()),
            )
        if self.main:
            self.folder.record_settings(self.run)
            write_summary(self.folder.summary, summary)
            augspec.write_atomically(self.folder.table, to_markdown(summary))
            shared = self.run.shared
            samples = self._bench(shared).samples()
            write_overview(self.folder.overview, Overview(summary, samples))
        self.console.print(render(summary))
        self._share_corrupt()
        for split, report in self.corrupt.items():
            if report:
                self._say(f"{split} split: {report.describe()}", "yellow")
        self._say(f"results in {self.folder.root} (look at {self.folder.overview.name})")
        return summary

    def _share_corrupt(self) -> None:
        """Tells the first process of the images that others could not read."""
        own = {
            split: [(index, error.place, error.reason) for index, error in report.errors.items()]
            for split, report in self.corrupt.items()
        }
        for met in all_objects(own):
            for split, errors in met.items():
                found = {index: CorruptImageError(*words) for index, *words in errors}
                self.corrupt[split].errors.update(found)

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
                own, single = bench.head(learner.attached, learner.equimod)
                metrics |= own
        if speed:
            metrics[THROUGHPUT] = speed
        return ArmResult(
            name=name,
            seed=config.seed,
            metrics=metrics,
            history=tuple(_history(self.trained_folder.arm(name))),
            per_augmentation=single,
        )


def _history(folder: Path) -> list[dict[str, float]]:
    """The means of each epoch, from the arm's record."""
    records = read_metrics(folder / METRICS)
    return [
        {k.removeprefix("epoch/"): float(v) for k, v in record.items() if k != "step"}
        for record in records
        if any(k.startswith("epoch/") for k in record)
    ]
