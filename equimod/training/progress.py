"""Progress of a training: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINES = 10
"""How many lines a training leaves in a log file."""


class ArmProgress:
    """Shows how far an arm is, its losses and its speed.

    Args:
        console: where to.
        name: of the arm.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None, shown="")

    def __enter__(self) -> ArmProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, step: int, total: int, values: dict[str, float]) -> None:
        """Shows the state after a step.

        Args:
            step: steps done.
            total: steps in all.
            values: what to show beside the bar.
        """
        shown = "  ".join(
            f"{name.removeprefix('loss/')} {value:,.{0 if name == 'images/s' else 3}f}"
            for name, value in values.items()
        )
        self._bar.update(self._task, completed=step, total=total, shown=shown)
        if not self._console.is_terminal and step * LINES // total > (step - 1) * LINES // total:
            line = f"{self._name}  step {step:,} of {total:,}  {shown}"
            self._console.print(line, soft_wrap=True)
