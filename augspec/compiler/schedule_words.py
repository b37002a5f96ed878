"""The schedule in words: what runs together on a CPU, what does not, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from augspec.compiler.merge import mergeable_runs
from augspec.compiler.plan import Plan, ViewPlan
from augspec.compiler.schedule import Stage, schedule, stack_views
from augspec.ops.contract import Size


def schedule_document(plan: Plan, size: Size | None = None) -> list[dict[str, Any]]:
    """The schedule as plain data, for JSON: an entry for each batch of views.

    Args:
        plan: the plan.
        size: height and width of the images that come in, where they are known.
    """
    found = []
    for views in stack_views(plan.views, size, merge=plan.merge):
        stages = schedule(views[0], size, merge=plan.merge)
        unmerged = [] if plan.merge else list(_mergeable(views[0], size))
        found.append(
            {
                "views": [view.name for view in views],
                "stages": [_stage(stage) for stage in stages],
                "normalized_in": (
                    "the last kernel" if stages[-1].kind == "fused" else "a pass of its own"
                ),
                "notes": [*(note for stage in stages for note in stage.notes), *unmerged],
            }
        )
    return found


def _mergeable(view: ViewPlan, size: Size | None) -> Iterator[str]:
    """What merging would change."""
    for run in mergeable_runs(view.steps, size):
        if run.refused is None:
            yield f"with merge: {run.explain()}"


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "kind": stage.kind,
        "steps": [step.id for step in stage.steps],
        "parts": [
            {"kind": part.kind, "steps": [step.id for step in part.steps]} for part in stage.parts
        ],
    }


def explain(plan: Plan, size: Size | None = None) -> str:
    """The schedule as plain text; see `schedule_document`."""
    lines = ["what the fused kernels of a CPU run together (`backend: numba`, or `auto`)"]
    for batch in schedule_document(plan, size):
        views = batch["views"]
        several = (
            f"views {', '.join(views)}, as one batch" if len(views) > 1 else f"view {views[0]}"
        )
        lines.append(f"\n{several}")
        for stage in batch["stages"]:
            lines += _lines(stage)
        if plan.normalize is not None:
            where = batch["normalized_in"]
            lines.append(f"  normalized in {where}")
        lines += [f"  note: {note}" for note in dict.fromkeys(batch["notes"])]
    return "\n".join(lines)


def _lines(stage: dict[str, Any]) -> Iterator[str]:
    if stage["kind"] == "merged":
        yield f"  one resample: {', '.join(stage['steps'])}"
        return
    if stage["kind"] == "step":
        yield f"  op by itself: {stage['steps'][0]}"
        return
    yield "  one kernel, an image at a time in the caches"
    if not stage["parts"]:
        yield "    reads the image as it is"
    for part in stage["parts"]:
        named = {"resample": "one resample", "chain": "one chain"}[part["kind"]]
        yield f"    {named}: {', '.join(part['steps'])}"
