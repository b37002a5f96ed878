"""The measurements as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline_bench.machine import sentence
from pipeline_bench.roster import REFERENCE

Document = Mapping[str, Any]
MB = 1e6
TIMES, DASH, NONE = "\u00d7", "\u2013", "\u2013"
"""The sign of multiplication, and the dashes between two numbers and for no number."""


def markdown(document: Document) -> str:
    """The page; the pictures lie beside it."""
    return "\n".join(_page(document)) + "\n"


def _page(document: Document) -> Iterator[str]:
    yield "# Pipelines, timed"
    yield ""
    yield f"Made by `{document['command']}` on {document['date']}."
    if document["quick"]:
        yield ""
        yield "**A quick run with tiny batches: it shows that everything runs, not how fast.**"
    yield ""
    yield sentence(document["machine"])
    yield ""
    yield (
        "Each figure is for both augmented views of a batch, float32 and normalised; images/s "
        "counts source images. Contestants ran in processes of their own and took turns, "
        f"{document['repeats']} timed calls each, an untimed one before every one of them; median, "
        "and quartiles in brackets. "
        "Memory is the peak of one call beyond its input, outputs included. What each contestant "
        "is, and where its pixels differ, is said in `benchmarks/pipeline_bench/`."
    )
    yield ""
    yield "![Images per second of every contestant](pipelines.png)"
    for workload in document["workloads"]:
        yield ""
        yield from _workload(workload)
    if document["growth"]:
        yield ""
        yield "## Growth"
        yield ""
        yield "![Time by batch and by size](pipelines-growth.png)"
        for sweep in document["growth"]:
            yield ""
            yield from _sweep(sweep)


def _workload(workload: Document) -> Iterator[str]:
    floor = next((r for r in workload["results"] if r["floor"]), None)
    base = next((r for r in workload["results"] if r["name"] == REFERENCE), None)
    yield f"## {workload['title']}"
    yield ""
    yield f"{workload['batch']} images a batch; recipe `{workload['recipe']}`."
    yield ""
    kornia, floors, output = (f"{TIMES} {of}" for of in ("kornia", "floor", "output"))
    yield f"| | images/s | ms per batch | {kornia} | {floors} | peak MB | {output} | how |"
    yield "|:--|--:|--:|--:|--:|--:|--:|:--|"
    for one in workload["results"]:
        time = one["milliseconds"]["median"]
        rate = one["images_per_second"]
        cells = [
            one["label"],
            f"{number(rate['median'])} ({number(rate['q1'])} {DASH} {number(rate['q3'])})",
            number(time),
            number(base["milliseconds"]["median"] / time) if base and not one["floor"] else NONE,
            number(time / floor["milliseconds"]["median"]) if floor else NONE,
            number(one["peak_bytes"] / MB) if one["peak_bytes"] is not None else NONE,
            number(one["peak_bytes"] / workload["view_bytes"])
            if one["peak_bytes"] is not None
            else NONE,
            one["note"],
        ]
        yield f"| {' | '.join(cells)} |"
    for one in workload["results"]:
        for part, time in one["parts"].items():
            share = time["median"] / one["milliseconds"]["median"]
            yield ""
            yield f"{one['label']}: {part} alone {number(time['median'])} ms, {share:.1%} of it."
    for label, why in workload["absent"].items():
        yield ""
        yield f"Not run: {label} ({why})."


def _sweep(sweep: Document) -> Iterator[str]:
    names = list(dict.fromkeys(point["contestant"] for point in sweep["points"]))
    unit = "batch" if sweep["axis"] == "batch" else "side, pixels"
    yield f"### {sweep['title']}"
    yield ""
    heads = [f"{name}, {what}" for name in names for what in ("ms", "images/s", "peak MB")]
    yield f"| {unit} | {' | '.join(heads)} |"
    yield "|--:" * (1 + len(heads)) + "|"
    found = {(point["at"], point["contestant"]): point for point in sweep["points"]}
    for at in dict.fromkeys(point["at"] for point in sweep["points"]):
        cells = [str(at)]
        for name in names:
            point = found.get((at, name))
            cells += [NONE] * 3 if point is None else _point(point)
        yield f"| {' | '.join(cells)} |"


def _point(point: Document) -> list[str]:
    peak = point["peak_bytes"]
    return [
        number(point["milliseconds"]["median"]),
        number(point["images_per_second"]["median"]),
        NONE if peak is None else number(peak / MB),
    ]


def number(value: float) -> str:
    """Three digits, or all that stand before the point."""
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
