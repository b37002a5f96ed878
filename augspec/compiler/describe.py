"""The plan in words: what each step does, to images of which size, and whose draws it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from augspec.compiler.flow import flow
from augspec.compiler.plan import Plan, StreamPlan, ViewPlan
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Op, Size

COMMON = ("op", "id", "share", "ops")
"""The fields that are not shown among an op's values: they are shown elsewhere."""

_Sharers = Mapping[tuple[int, int], Sequence[str]]
"""The views that draw from each stream, by what stands for it in the generator's counter."""


def summary(op: type[Op] | Op) -> str:
    """What an op does, in one line: the first of its docstring, less the hint at torchvision."""
    line = (op.__doc__ or "").split("\n", 1)[0]
    return line.split(", as ", 1)[0].rstrip(".")


def values(op: Op) -> str:
    """The op's fields, defaults included, as `name value, name value`."""
    fields = op.model_dump(mode="json")
    shown = {k: v for k, v in fields.items() if k not in COMMON and v is not None}
    return ", ".join(f"{name} {flow(value, digits=4)}" for name, value in shown.items())


def plan_document(plan: Plan, size: Size | None = None) -> dict[str, Any]:
    """The plan as plain data, for JSON.

    Args:
        plan: the plan.
        size: height and width of the images that come in, where they are known.
    """
    sharers = _sharers(plan)
    return {
        "name": plan.name,
        "hash": plan.hash,
        "columns": sum(view.layout.width for view in plan.views),
        "channels": plan.channels,
        "size": size,
        "normalize": plan.normalize.model_dump(mode="json") if plan.normalize else None,
        "views": [_view(view, Incoming(size, plan.channels), sharers) for view in plan.views],
    }


def describe(plan: Plan, size: Size | None = None) -> str:
    """The plan as plain text; see `plan_document`."""
    document = plan_document(plan, size)
    views = document["views"]
    images = f"images: {plan.channels} channel{'s' if plan.channels > 1 else ''}, "
    images += f"{_shown(size)} pixels" if size else "of any size"
    if plan.normalize is not None:
        normalize = plan.normalize.model_dump(mode="json")
        images += ", normalized last: " + ", ".join(f"{k} {flow(v)}" for k, v in normalize.items())
    head = f"{plan.name}: {len(views)} views, {document['columns']} columns, plan {plan.hash}"
    blocks = [f"{head}\n{images}"]
    seen: dict[str, str] = {}
    for view in views:
        title = f"view {view['name']}: {view['columns']} columns, layout {view['layout']}"
        body = "\n".join(_lines(view["steps"], depth=1))
        if not body:
            body = "  the image as it is"
        elif body in seen:
            body = f"  as view {seen[body]}, with draws of its own"
        elif all(step["draws"]["as"] == view["name"] for step in _flat(view["steps"])):
            seen[body] = view["name"]
        blocks.append(f"{title}\n{body}")
    return "\n\n".join(blocks)


def _sharers(plan: Plan) -> _Sharers:
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for view in plan.views:
        for step in view.steps:
            for stream in step.streams:
                found[stream.view, stream.slot].append(view.name)
    return found


def _view(view: ViewPlan, incoming: Incoming, sharers: _Sharers) -> dict[str, Any]:
    steps = []
    for step in view.steps:
        about = _Walk(view.name, step.draws_as, sharers)
        steps.append(about.op(step.id, step.op, incoming, step.columns[0], step.streams))
        incoming = step.op.outgoing(incoming)
    return {
        "name": view.name,
        "columns": view.layout.width,
        "layout": view.layout.hash,
        "steps": steps,
    }


class _Walk:
    """Describes one step of a view, and the ops inside it."""

    def __init__(self, view: str, draws_as: str, sharers: _Sharers) -> None:
        self.view, self.draws_as, self.sharers = view, draws_as, sharers

    def op(
        self, op_id: str, op: Op, incoming: Incoming, column: int, streams: Sequence[StreamPlan]
    ) -> dict[str, Any]:
        """One op in its place; `column` is its first one, `streams` are its own and its ops'."""
        parameters = op.parameters(incoming.size)
        width = sum(parameter.codec.width for parameter in parameters)
        own = len(op.streams()) if not isinstance(op, Combinator) else int(op.choices > 0)
        steps = []
        if isinstance(op, Combinator):
            at = column + sum(parameter.codec.width for parameter in op.own_parameters())
            inside, rest = incoming, streams[own:]
            for name, child in op.children:
                count = len(child.streams())
                steps.append(self.op(name, child, inside, at, rest[:count]))
                at = steps[-1]["columns"][1]
                inside, rest = child.outgoing(inside), rest[count:]
        return {
            "id": op_id,
            "op": op.tag(),
            "does": summary(op),
            "values": op.model_dump(mode="json", exclude={"ops"} if steps else None),
            "shown": values(op),
            "size": [incoming.size, op.outgoing(incoming).size],
            "columns": [column, column + width],
            "parameters": [parameter.name for parameter in parameters],
            "draws": self.draws(streams[:own] if steps else streams),
            "steps": steps,
        }

    def draws(self, streams: Sequence[StreamPlan]) -> dict[str, Any]:
        """Whose uniforms the op has, with which views it shares them, and for how many samples."""
        views = dict.fromkeys(v for s in streams for v in self.sharers[s.view, s.slot])
        return {
            "as": self.draws_as,
            "uniforms": sum(stream.count for stream in streams),
            "shared_with": [name for name in views if name != self.view],
            "samples": max((stream.samples for stream in streams), default=1),
        }


def _flat(steps: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        yield from _flat(step["steps"])


def _lines(steps: Sequence[dict[str, Any]], depth: int) -> Iterator[str]:
    """Two lines for each step, and those of the ops inside it further to the right."""
    indent = "  " * depth
    ids = max((len(step["id"]) for step in steps), default=0)
    for step in steps:
        (start, stop), (before, after) = step["columns"], step["size"]
        columns = "no columns" if start == stop else f"columns {start}-{stop - 1}"
        if stop == start + 1:
            columns = f"column {start}"
        sizes = f"{_shown(before)} -> {_shown(after)}"
        named = "" if step["id"] == step["op"] else f" ({step['op']})"
        yield f"{indent}{step['id']:<{ids}}  {sizes}  {columns}  {_drawn(step['draws'])}{named}"
        yield f"{indent}  {step['does']}" + (f": {step['shown']}" if step["shown"] else "")
        yield from _lines(step["steps"], depth + 1)


def _drawn(draws: dict[str, Any]) -> str:
    if not draws["uniforms"]:
        return "draws nothing"
    text = "draws for itself"
    if draws["shared_with"]:
        text = f"one draw with {', '.join(draws['shared_with'])}"
    if draws["samples"] > 1:
        text += f", the same for {draws['samples']} samples in a row"
    return text


def _shown(size: Size | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "any size"
