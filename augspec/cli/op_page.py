"""The page about one op, from what its file says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from augspec.cli.words import field_type
from augspec.compiler.flow import flow
from augspec.language.docs import field_docs
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op
from augspec.ops.parameter import Parameter

VALUE = (
    "A value is a number, [low, high] to draw from uniformly, {log_uniform: [low, high]}, "
    "{normal: {mean, std, low, high}}, {beta: {alpha, beta, low, high}}, "
    "{linspace: [low, high, num]} or {choice: [...], weights: [...]}."
)


def op_page(op: type[Op]) -> Iterator[Table | str]:
    """The parts of the page, one under the other."""
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(op) or "").split("\n\n")]
    yield f"{op.tag()}: " + "\n\n".join(paragraphs) + "\n"
    yield _fields(op)
    if any("value" in field_type(info) for info in op.model_fields.values()):
        yield f"\n{VALUE}"
    yield ""
    example = examples(op)[0]
    shown = op.model_validate(example)
    if shown.parameters():
        if len(example) > 1:
            yield f"the parameters of {flow(example)}:"
        yield _parameters(shown)
    else:
        yield "It has no parameters, and no columns in the code."
    yield ""
    yield _properties(shown)
    yield "\nin a view's `ops`:"


def examples(op: type[Op]) -> list[dict[str, Any]]:
    """Ways to write the op that do something: by default, if that does, and the op's examples."""
    default = [{"op": op.tag()}] if _does_something(op()) else []
    return [*default, *({"op": op.tag(), **example} for example in op.examples)]


def _does_something(op: Op) -> bool:
    return op.can_act and not (isinstance(op, Combinator) and not op.ops)


def _fields(op: type[Op]) -> Table:
    table = Table("field", "type", "default", "what it is", box=None)
    defaults = op().model_dump(mode="json")
    common = [name for name in op.model_fields if name in Op.model_fields]
    own = [name for name in op.model_fields if name not in common and name != "op"]
    for name in (*own, *common):  # its own fields first, since the others are alike for all ops
        info = op.model_fields[name]
        default = flow(defaults[name], digits=4) if defaults[name] is not None else "none"
        table.add_row(name, field_type(info), default, " ".join(field_docs(op)[name].split()))
    return table


def _parameters(op: Op) -> Table:
    columns = ("parameter", "unit", "range", "identity", "codec", "columns", "gradient")
    table = Table(*columns, box=None)
    for parameter in op.parameters():
        codec = parameter.codec
        table.add_row(
            parameter.name,
            parameter.unit,
            _range(parameter),
            f"{parameter.identity:g}",
            codec.name,
            str(codec.width),
            "yes" if parameter.differentiable else "no",
        )
    return table


def _range(parameter: Parameter) -> str:
    if parameter.low is None or parameter.high is None:
        return "by image size"
    return f"[{parameter.low:.4g}, {parameter.high:.4g}]"


def _properties(op: Op) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column()
    lost = op.not_invertible
    table.add_row("invertible", f"no: {lost}" if lost else "yes")
    stops = op.not_differentiable
    table.add_row("differentiable", f"no: {stops}" if stops else "yes, in the image")
    fixed = op.not_scalable
    table.add_row("scalable", f"no: {fixed}" if fixed else "yes, with the resolution")
    table.add_row("size", "keeps the image's" if op.keeps_size else "changes the image's")
    if op.needs_colour:
        table.add_row("channels", "has no effect on images with one channel")
    return table
