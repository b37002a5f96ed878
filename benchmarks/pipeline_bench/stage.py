"""Each contestant in a process of its own; they take turns, one call at a time.

So no library's threads, memory or settings touch another's, and a slow minute of the machine falls
upon all of them alike. Whoever waits for its turn is blocked, and uses no core.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from pipeline_bench.contestant import CannotRunError, Contestant, Job, Prepared
from pipeline_bench.memory import peak_bytes
from pipeline_bench.roster import contestants
from pipeline_bench.timing import milliseconds
from pipeline_bench.workloads import Workload

VIEWS = "views"
"""The part that is the whole work."""

PRELOADED = [
    "torch._dynamo",
    "torchvision.transforms.v2",
    "kornia.augmentation",
    "augspec.compiler",
]
"""What all processes import, imported once, by the process that they are forked from."""


@dataclass(frozen=True)
class Conditions:
    """What is the same for all contestants.

    Attributes:
        photos: folder of JPEG photographs.
        device: `cpu` or `cuda`.
        threads: CPU threads, or processes, that may work at once.
    """

    photos: Path
    device: str
    threads: int


@dataclass
class Measured:
    """What one contestant did.

    Attributes:
        note: what it says of itself.
        outputs: see `_outputs`.
        times: milliseconds of each call, by part.
        peak: bytes, see `memory.peak_bytes`.
    """

    note: str
    outputs: list[dict[str, Any]]
    times: dict[str, list[float]] = field(default_factory=dict)
    peak: int | None = None


class Stage:
    """The processes of some contestants.

    Args:
        names: which ones; see `roster.contestants`.
        conditions: for all of them.
    """

    def __init__(self, names: Iterable[str], conditions: Conditions) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._actors: dict[str, tuple[Any, Connection]] = {}
        for name in names:
            here, there = context.Pipe()
            process = context.Process(target=_act, args=(there, name, conditions))
            process.start()
            there.close()
            self._actors[name] = (process, here)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, connection in self._actors.values():
            with suppress(OSError):
                connection.send(("end",))
        for process, _ in self._actors.values():
            process.join(10)
            if process.is_alive():
                process.kill()

    def perform(
        self, workload: Workload, repeats: int, *, told: Callable[[str], None] = lambda _: None
    ) -> tuple[dict[str, Measured], dict[str, str]]:
        """Prepares everyone, times them in turns, and then measures their memory.

        Args:
            workload: the work.
            repeats: how many calls of each are timed.
            told: is told what happens.

        Returns:
            What each did, and, of those that could not, why.
        """
        done: dict[str, Measured] = {}
        failed: dict[str, str] = {}

        def attempt(name: str, *words: Any) -> Any:
            try:
                return self._ask(name, *words)
            except CannotRunError as error:
                failed[name] = str(error)
                told(f"{name}: {error}")
                return None

        parts: dict[str, list[str]] = {}
        for name in self._actors:
            told(f"{workload.name}: preparing {name}")
            answer = attempt(name, "prepare", workload)
            if answer is not None:
                note, parts[name], outputs = answer
                done[name] = Measured(note, outputs)
        for repeat in range(repeats):
            told(f"{workload.name}: round {repeat + 1} of {repeats}")
            names = [name for name in done if name not in failed]
            turn = repeat % max(1, len(names))  # so that nobody always follows the same one
            for name in names[turn:] + names[:turn]:
                for part in parts[name]:
                    time = attempt(name, "time", part)
                    if time is None:
                        break
                    done[name].times.setdefault(part, []).append(time)
        for name, measured in done.items():
            if name not in failed:
                measured.peak = attempt(name, "memory")
        return {name: one for name, one in done.items() if name not in failed}, failed

    def _ask(self, name: str, *words: Any) -> Any:
        _, connection = self._actors[name]
        try:
            connection.send(words)
            fine, answer = connection.recv()
        except (EOFError, OSError):
            raise CannotRunError("its process ended: no memory, or an error above") from None
        if not fine:
            raise CannotRunError(answer)
        return answer


def _act(there: Connection, name: str, conditions: Conditions) -> None:
    """A contestant's process: does what it is told until it is told to end."""
    torch.set_num_threads(conditions.threads)
    actor = _Actor(contestants(conditions.device)[name], conditions)
    with suppress(EOFError, KeyboardInterrupt):
        while (words := there.recv())[0] != "end":
            try:
                there.send((True, getattr(actor, words[0])(*words[1:])))
            except CannotRunError as error:
                there.send((False, str(error)))
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                there.send((False, f"{type(error).__name__}: {error}"))
    actor.end()


class _Actor:
    """One contestant at work, in its own process."""

    def __init__(self, contestant: Contestant, conditions: Conditions) -> None:
        self._contestant, self._conditions = contestant, conditions
        self._device = torch.device(conditions.device)
        self._prepared: Prepared | None = None
        self._input_bytes = 0

    def prepare(self, workload: Workload) -> tuple[str, list[str], list[dict[str, Any]]]:
        """Gets ready for a workload, and runs it twice, which also compiles what is compiled.

        Returns:
            The note, the names of the parts, and what the second call's views are like.
        """
        self.end()
        torch._dynamo.reset()  # each size is compiled for itself, not as the second of two
        images = workload.images(self._conditions.photos)
        if isinstance(images, Tensor):
            images = images.to(self._device)
            self._input_bytes = images.nbytes
        else:
            self._input_bytes = 0
        job = Job(workload, images, self._device, self._conditions.threads)
        self._prepared = self._contestant.prepare(job)
        first = [view[0].clone() for view in self._prepared.views()]
        outputs = [] if self._contestant.floor else _outputs(self._prepared.views(), first)
        return self._prepared.note, [VIEWS, *self._prepared.parts], outputs

    def time(self, part: str) -> float:
        """Milliseconds of one call, the second of two.

        The first one is not timed: while a contestant waits for its turn, the others take the
        caches, and the system may take memory.
        """
        assert self._prepared is not None
        call = self._prepared.views if part == VIEWS else self._prepared.parts[part]
        call()
        return milliseconds(call, self._device)

    def memory(self) -> int | None:
        """The peak of one call, bytes."""
        assert self._prepared is not None
        self._prepared.forget()
        return peak_bytes(
            self._prepared.views, self._device, self._input_bytes, self._prepared.processes
        )

    def end(self) -> None:
        """Frees what was prepared."""
        if self._prepared is not None:
            self._prepared.close()
        self._prepared = None
        if self._device.type == "cuda":  # the GPU's memory is for whose turn it is
            torch.cuda.empty_cache()


def _outputs(views: Iterable[Tensor], first: list[Tensor]) -> list[Mapping[str, Any]]:
    """What the views are like, so that a reader sees that all contestants make the same thing.

    Args:
        views: of one call.
        first: the first image of each view, of the call before.
    """
    return [
        {
            "shape": list(view.shape),
            "dtype": str(view.dtype).removeprefix("torch."),
            "low": view.min().item(),
            "high": view.max().item(),
            "mean": view.mean().item(),
            "std": view.std().item(),
            "drawn_anew": not torch.equal(view[0], before),
        }
        for view, before in zip(views, first, strict=True)
    ]
