"""One image, its views and the numbers of their codes as one HTML page, for readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from PIL import Image

from augspec.compiler.describe import summary, values
from augspec.ops.contract import Size
from augspec.preview.explain import LONG, Entry, Explanation, Frame, Story
from augspec.preview.explain_style import STYLE
from augspec.preview.explain_words import (
    DASH,
    WHAT_IT_IS,
    cell_count,
    cell_number,
    columns_text,
    formula,
    gradient,
    is_choice,
    is_strong,
    number,
    numbers,
    promises,
    reach,
    source,
    usual,
    worked,
)
from augspec.preview.files import data_uri
from augspec.preview.heat import share
from augspec.preview.outline import outlined
from augspec.preview.page import document
from augspec.preview.samples import Column
from augspec.preview.text import MINUS, TIMES

_MANY = 15  # columns of one slot that may need more than one line
_SIDE, _FRAME, _FAINT = 320, 224, 96
"""Pixels of the longer side of large images, of frames, and of frames that change nothing."""


def explain_page(explanation: Explanation, snippet: str) -> str:
    """The page.

    Args:
        explanation: what to show.
        snippet: how to get the same in Python.
    """
    name = explanation.plan.name
    parts = [*_head(explanation), *(_view(explanation, story) for story in explanation.stories)]
    told = max(explanation.stories, key=lambda s: sum(bool(c.value) for c in s.code))
    if told.code:
        items = "\n".join(
            f"<div><dt>{escape(title)}</dt><dd>{escape(text)}</dd></div>"
            for title, text in promises(told)
        )
        title = f"What a code promises <small>with the numbers of {escape(told.plan.name)}</small>"
        parts.append(f'<h2 id="promises">{title}</h2>\n<dl>\n{items}\n</dl>')
    parts.append(f"<h2>The same in Python</h2>\n<pre><code>{escape(snippet)}</code></pre>")
    return document(f"{name}, explained", STYLE, "\n".join(parts))


def _head(explanation: Explanation) -> Iterator[str]:
    plan = explanation.plan
    yield f"<h1>{escape(plan.name)}</h1>"
    if explanation.spec.description:
        yield f"<p>{escape(' '.join(explanation.spec.description.split()))}</p>"
    keys = f"seed {explanation.seed}, epoch {explanation.epoch}, sample {explanation.sample}"
    digest = f"plan <code>{plan.hash}</code>"
    yield f'<p class="note">{escape(source(explanation))}; {keys}; {digest}</p>'
    yield f"<p>{escape(WHAT_IT_IS)}</p>"
    if len(explanation.stories) > 2:
        names = [story.plan.name for story in explanation.stories]
        links = ", ".join(f'<a href="#view-{escape(n)}">{escape(n)}</a>' for n in names)
        yield f'<p class="note">Views: {links}; <a href="#promises">what a code promises</a></p>'


def _view(explanation: Explanation, story: Story) -> str:
    name, layout = escape(story.plan.name), story.layout
    count = cell_count(story.code) if story.code else "no columns"
    title = f"{name} <small>{count}, layout <code>{layout.hash}</code></small>"
    parts = [f'<h2 id="view-{name}">{title}</h2>', _pair(explanation, story)]
    if story.frames:
        parts += ["<h3>Step by step</h3>", _film(explanation, story)]
    if story.entries:
        parts += ["<h3>The code</h3>", _strip(story), _legend(story)]
        parts += ["<h3>What the numbers are</h3>", *_tables(story), _about_moments(story)]
    else:
        text = "No op of this view draws anything: the spec says all there is to know, and the "
        parts.append(f"<p>{text}code has no columns.</p>")
    return "\n".join(parts)


# the images


def _pair(explanation: Explanation, story: Story) -> str:
    picture = explanation.picture
    image, text = picture.image, "the image"
    if story.corners and story.cuts:
        image, text = outlined(image, story.corners, _SIDE), "the image, with an outline around "
        text += "what the view shows; the dot is the view's upper left corner"
    view = f"{story.plan.name}, {story.image.width}{TIMES}{story.image.height}"
    normalize = explanation.plan.normalize
    if normalize is not None:
        view += ", before it is normalized (that comes last in every view, and is not in the code)"
    shown = [_figure(image, _SIDE, text)]
    shown += [_figure(story.image, _SIDE, view)] if story.frames else []
    return f'<div class="pair">\n{"".join(shown)}</div>'


def _figure(image: Image.Image, side: int, text: str) -> str:
    return f"<figure>{_image(image, side, text)}<figcaption>{escape(text)}</figcaption></figure>\n"


def _image(image: Image.Image, side: int, text: str) -> str:
    """The image, made smaller where it is larger than needed; a page may hold very many."""
    kind = ' class="small"' if max(image.size) <= side // 2 else ""
    shown = image.copy()
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    return f'<img{kind} alt="{escape(text)}" src="{data_uri(shown)}">'


def _film(explanation: Explanation, story: Story) -> str:
    start = explanation.picture.image
    size = f"{start.width}{TIMES}{start.height}"
    figures = [
        f'<figure><div class="frame">{_image(start, _FRAME, "the image")}</div>'
        f"<figcaption><b>the image</b><span>{size}</span></figcaption></figure>"
    ]
    figures += [_frame(frame) for frame in story.frames]
    images = [start, *(frame.image for frame in story.frames)]
    tall = max(image.height / image.width for image in images)
    parts = [f'<div class="film" style="--tall:{min(tall, 2):.3f}">', *figures, "</div>"]
    parts += [
        f'<p class="note"><b>{_breaks(path)}</b> {escape(text)}</p>' for path, text in story.choices
    ]
    if story.idle:
        many = len(story.idle)
        text = f"{many} {'op' if many == 1 else 'ops'} inside combinators left out"
        names = ", ".join(map(escape, story.idle))
        parts.append(f'<details class="note"><summary>{text}</summary>{names}</details>')
    return "\n".join(parts)


def _frame(frame: Frame) -> str:
    before, after = frame.node.size, frame.node.size_after
    lines = [escape(frame.words)] if frame.words else []
    if before != after:
        lines.append(f"{_size(before)} to {_size(after)}")
    if not frame.acts:
        lines = ["did nothing"]
    spans = "".join(f"<span>{line}</span>" for line in lines)
    path = frame.node.path
    side = _FRAME if frame.acts else _FAINT
    kind = "" if frame.acts else ' class="idle"'
    image = _image(frame.image, side, f"after {path}")
    does = escape(summary(frame.node.op))
    return (
        f'<figure{kind} title="{does}"><div class="frame">{image}</div>'
        f"<figcaption><b>{_breaks(path)}</b>{spans}</figcaption></figure>"
    )


def _size(size: Size) -> str:
    return f"{size[1]}{TIMES}{size[0]}"


def _breaks(name: str) -> str:
    """A name that may be broken after its dots and underscores."""
    return escape(name).replace("_", "_<wbr>").replace(".", ".<wbr>")


# the code as a strip


def _strip(story: Story) -> str:
    groups = [list(own) for _, own in groupby(story.entries, key=lambda e: e.slot.op)]
    if len(story.code) <= LONG:
        return _labelled(groups)
    small = "".join(
        "<div>" + "".join(_bare(c) for entry in own for c in entry.columns) + "</div>"
        for own in groups
    )
    acting = [own for own in groups if not all(entry.is_zero for entry in own)]
    text = "<p>All columns, op by op; and below, the ops that are not zero.</p>"
    return f'{text}\n<div class="all">{small}</div>\n{_labelled(acting)}'


def _labelled(groups: Sequence[Sequence[Entry]]) -> str:
    return '<div class="strip">\n' + "\n".join(map(_op, groups)) + "\n</div>"


def _op(entries: Sequence[Entry]) -> str:
    kind = "op idle" if all(entry.is_zero for entry in entries) else "op"
    kind += " full" if max(len(entry.columns) for entry in entries) > _MANY else ""
    slots = "".join(map(_slot, entries))
    name = _breaks(entries[0].slot.op)
    return f'<div class="{kind}"><b>{name}</b><div class="slots">{slots}</div></div>'


def _slot(entry: Entry) -> str:
    kind = "slot" if entry.slot.differentiable else "slot still"
    kind = "slot jumps" if entry.jumps else kind
    kind += " many" if len(entry.columns) > _MANY else ""
    drawn = "" if entry.is_zero else escape(entry.words)
    wraps = " wraps" if " " in drawn and len(entry.columns) > 2 else ""
    cells = "".join(_cell(entry, column) for column in entry.columns)
    return (
        f'<div class="{kind}"><div class="name">{_breaks(entry.slot.parameter)}</div>'
        f'<div class="drawn{wraps}">{drawn}</div><div class="cells">{cells}</div></div>'
    )


def _cell(entry: Entry, column: Column) -> str:
    suffix = column.name.removeprefix(entry.slot.name).lstrip(".")
    style, kind = _shade(column)
    return (
        f'<div class="cell{kind}" title="{escape(_title(column))}"{style}>'
        f"<i>{cell_number(column.value)}</i><small>{escape(suffix)}</small></div>"
    )


def _bare(column: Column) -> str:
    style, kind = _shade(column)
    return f'<i class="{kind.strip()}" title="{escape(_title(column))}"{style}></i>'


def _title(column: Column) -> str:
    reach_ = f"within ±{column.most:.4g}" if column.most else "cannot act"
    return f"{column.name} = {column.value:.6g} ({column.slot.codec} code, {reach_})"


def _shade(column: Column) -> tuple[str, str]:
    """A cell's own style, and its classes."""
    if not column.most:
        return "", " off"
    if not column.value:
        return "", " zero"
    kind = " up" if column.value > 0 else " down"
    strong = " strong" if is_strong(column) else ""
    return f' style="--s:{share(column.level):.3f}"', kind + strong


def _legend(story: Story) -> str:
    items = [f'{MINUS}<i class="scale"></i>+ relative to the range of each column']
    items.append("<i></i>0: nothing was done")
    if any(not column.most for column in story.code):
        items.append('<i class="off"></i>always 0 with this spec')
    if any(entry.jumps for entry in story.entries):
        items.append('<i class="jump"></i>jumps: no gradient')
    if any(not (e.slot.differentiable or e.jumps) for e in story.entries):
        items.append('<i class="stop"></i>no gradient')
    return '<div class="legend note">' + "".join(f"<span>{i}</span>" for i in items) + "</div>"


# the slots as a table


def _tables(story: Story) -> Iterator[str]:
    groups = [list(own) for _, own in groupby(story.entries, key=lambda e: e.slot.op)]
    if len(story.code) <= LONG:
        yield _table(story, groups)
        return
    yield _table(story, [own for own in groups if not all(entry.is_zero for entry in own)])
    idle = [own for own in groups if all(entry.is_zero for entry in own)]
    count = sum(len(entry.columns) for own in idle for entry in own)
    yield f"<details><summary>the {count} columns of ops that did nothing</summary>"
    yield f"{_table(story, idle)}</details>"


_HEADS = (
    "columns",
    "slot",
    "range of draws",
    "this sample",
    "how it is coded",
    "code",
    "mean ± std",
    "gradient",
)


def _about_moments(story: Story) -> str:
    """Of what the means and standard deviations are."""
    known = story.moments
    if known is None:
        return ""
    text = "Mean ± std: of this view's codes over all draws, for images of this size"
    if known.draws:
        text += f"; exact, or of {known.draws:,} draws where it says ≈"
    return f'<p class="note">{text}.</p>'


def _table(story: Story, groups: Sequence[Sequence[Entry]]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    bodies = "\n".join(_body(story, entries) for entries in groups)
    return f"<table><thead><tr>{heads}</tr></thead>\n{bodies}\n</table>"


def _body(story: Story, entries: Sequence[Entry]) -> str:
    op = entries[0].node.op
    about = f"{summary(op)}." + (f" {values(op)}" if values(op) else "")
    head = f"<b>{_breaks(entries[0].slot.op)}</b><span>{escape(about)}</span>"
    rows = "\n".join(_tr(story, entry) for entry in entries)
    return f'<tbody><tr><th colspan="{len(_HEADS)}">{head}</th></tr>\n{rows}</tbody>'


def _tr(story: Story, entry: Entry) -> str:
    slot, how = entry.slot, worked(entry) if not entry.is_zero else ""
    value = entry.words if is_choice(entry.parameter) else number(entry.value)
    words = entry.words if entry.words not in (value, number(entry.value, 3)) else ""
    cells = (
        columns_text([entry]),
        _breaks(slot.parameter) + _small(slot.unit),
        escape(reach(entry)),
        escape(value or DASH) + _small(words),
        escape(formula(entry.parameter)) + _small(how),
        escape(numbers([column.value for column in entry.columns])),
        escape(usual(story, entry)),
        gradient(entry),
    )
    kind = ' class="nothing"' if entry.is_zero else ""
    tds = "".join(
        f'<td data-of="{head}">{cell}</td>' for head, cell in zip(_HEADS, cells, strict=True)
    )
    return f"<tr{kind}>{tds}</tr>"


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""
