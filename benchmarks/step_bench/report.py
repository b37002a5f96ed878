"""The measurements as a document and as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from pipeline_bench.machine import sentence
from pipeline_bench.timing import Quartiles

from step_bench.timed import PARTS, StepTime

Document = Mapping[str, Any]
DASH = "\u2013"
"""Between two numbers, and for no number."""


def arm_document(times: Sequence[StepTime], base: Sequence[StepTime], batch: int) -> dict[str, Any]:
    """What is said of one arm.

    Args:
        times: of its steps.
        base: of the steps of the method alone, in the same rounds; the arm's own for that itself.
        batch: source images in a step.

    Returns:
        Quartiles of the whole and of each part in ms, of images/s, and of the extra over the base
        (of each round, relative); the median share of each part in a step; and every time that was
        measured.
    """
    whole = Quartiles.of([time.whole for time in times])
    every = {part: [t.parts[part] for t in times] for part in PARTS if part in times[0].parts}
    shares = {
        part: median(value / time.whole for value, time in zip(values, times, strict=True))
        for part, values in every.items()
    }
    ratios = [own.whole / other.whole - 1 for own, other in zip(times, base, strict=True)]
    return {
        "milliseconds": whole.document(),
        "images_per_second": whole.rate(batch).document(),
        "extra": Quartiles.of(ratios).document(),
        "parts": {part: Quartiles.of(values).document() for part, values in every.items()},
        "shares": shares,
        "measured": {"whole": [time.whole for time in times], **every},
    }


def markdown(document: Document) -> str:
    """The page."""
    return "\n".join(_page(document)) + "\n"


def _page(document: Document) -> Iterator[str]:
    base, *others = document["arms"]
    yield "# A training step, taken apart"
    yield ""
    yield f"Made by `{document['command']}` on {document['date']}."
    if document["quick"]:
        yield "**A quick run with tiny batches: it shows that everything runs, not how fast.**"
    yield ""
    yield sentence(document["machine"])
    yield ""
    yield (
        f"Run `{document['run']}`: encoder {document['encoder']}, {document['batch']} images of "
        f"{document['side']} x {document['side']} pixels a step, optimiser "
        f"{document['optimiser']}, precision {document['precision']}, {document['device']}. The "
        f"arms took turns, {document['repeats']} steps each after {document['warmup']} for warming "
        "up; median ms, and quartiles in brackets. Shares are of the same step, "
        "their median; +ms is the difference of the medians to the base."
    )
    yield ""
    heads = [f"{base['label']} | share", *(f"{arm['label']} | share | +ms" for arm in others)]
    yield f"| | {' | '.join(heads)} |"
    yield "|:--" + "|--:" * (2 + 3 * len(others)) + "|"
    for part, title in PARTS.items():
        if any(part in arm["parts"] for arm in document["arms"]):
            yield f"| {title} | {' | '.join(_cells(part, document['arms']))} |"
    yield f"| **whole step** | {' | '.join(_cells(None, document['arms']))} |"
    yield ""
    yield f"| | encoder passes | code columns | images/s | extra over {base['label']} |"
    yield "|:--|--:|--:|--:|--:|"
    for arm in document["arms"]:
        extra, rate = arm["extra"], arm["images_per_second"]
        low, middle, high = (f"{extra[q]:+.1%}" for q in ("q1", "median", "q3"))
        cells = [
            arm["label"],
            f"{arm['encoder_passes']:g}",
            str(arm["code_columns"]) if arm["reference"] else DASH,
            f"{rate['median']:,.0f} ({rate['q1']:,.0f} {DASH} {rate['q3']:,.0f})",
            f"{middle} ({low} to {high})" if arm["reference"] else DASH,
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        "The extra is the median, over the rounds, of an arm's whole step over the base's in the "
        "same round."
    )


def _cells(part: str | None, arms: Sequence[Document]) -> Iterator[str]:
    """Time, share and difference of one part, or of the whole, for each arm."""
    found = [arm["milliseconds"] if part is None else arm["parts"].get(part) for arm in arms]
    before = found[0]["median"] if found[0] else 0.0
    for arm, own in zip(arms, found, strict=True):
        if own is None:
            yield from (DASH, DASH)
        else:
            yield f"{own['median']:.1f} ({own['q1']:.1f} {DASH} {own['q3']:.1f})"
            yield f"{1.0 if part is None else arm['shares'][part]:.1%}"
        if arm is not arms[0]:
            # rounded first, since less than half a digit must not be written as -0.0
            yield f"{round(own['median'] - before, 1) + 0.0:+.1f}" if own else DASH
