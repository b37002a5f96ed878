"""`augspec ops`: the list of ops, and one page about each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from augspec.cli.common import mistake, unknown
from augspec.compiler.describe import summary
from augspec.compiler.flow import flow
from augspec.ops import OPS
from augspec.ops.combinator import Combinator


def ops(name: str | None = None, *, picture: Path | None = None) -> int:
    """List the ops, or explain one.

    Args:
        name: the op to explain.
        picture: a PNG file to draw what the op does into.
    """
    console = Console(markup=False, highlight=False)  # the documentation writes [intervals]
    if name is None:
        if picture is not None:
            raise mistake("--picture goes with the name of an op")
        for part in _list(max(console.width, 60)):
            console.print(part)
        return 0
    if name not in OPS:
        raise unknown("op", name, OPS)
    from augspec.cli.op_page import examples, op_page

    if picture is not None:
        from augspec.preview.files import write_png
        from augspec.preview.op_picture import op_picture

        write_png(picture, op_picture(OPS[name], examples(OPS[name])[0]))
        print(f"{picture}: {name}")
        return 0
    for part in op_page(OPS[name]):
        console.print(part)
    for example in examples(OPS[name]):
        print(f"  - {flow(example)}")  # not wrapped: a line to copy
    return 0


def _list(width: int) -> Iterator[Table | str]:
    name = max(map(len, OPS)) + 2
    rest = width - name - 6  # the space after each column
    groups = dict.fromkeys(op.group for op in OPS.values())
    # what is made of ops comes after the ops
    for group in sorted(groups, key=lambda name: (name == Combinator.group, name)):
        yield f"\n{group}"
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(width=name)
        table.add_column(width=rest * 3 // 5)
        table.add_column(width=rest - rest * 3 // 5, style="dim")
        for op in (op for op in OPS.values() if op.group == group):
            parameters = ", ".join(parameter.name for parameter in op().parameters())
            table.add_row(f"  {op.tag()}", summary(op), parameters)
        yield table
