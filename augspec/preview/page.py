"""Previews as one HTML file that needs nothing beside it: no scripts, no other files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from augspec.preview.files import data_uri
from augspec.preview.heat import colour
from augspec.preview.samples import Column, Preview, Row, Sample
from augspec.preview.sheet import scaled
from augspec.preview.sweep import Strip

_SIDE = 320
_STYLE = """
body { font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1a1a1a; margin: 2rem; }
h1 { font-size: 1.5rem; margin: 0; }
.note, figcaption span, th small { color: #6b6b6b; font-weight: normal; }
.sheet { border-spacing: 1.2rem 1rem; margin: 0 -1.2rem; }
.sheet > thead th { text-align: left; font-size: 1.05rem; }
.sheet > tbody > tr > td { vertical-align: top; width: 320px; }
.view { width: 320px; height: 320px; object-fit: contain; object-position: left top; }
.small { image-rendering: pixelated; }
ul { list-style: none; margin: .4rem 0; padding: 0; }
.code { border-collapse: collapse; }
.code td { border: 1px solid #c9c9c9; width: 15px; min-width: 15px; height: 20px; padding: 0; }
.code th { writing-mode: vertical-rl; transform: rotate(180deg); padding: 4px 0; }
.code th { font: 11px "DejaVu Sans", sans-serif; text-align: right; white-space: nowrap; }
.codes { display: flex; flex-wrap: wrap; gap: .4rem 0; align-items: flex-start; }
.strip { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; text-align: center; }
""".strip()


def sheet_page(preview: Preview) -> str:
    """The contact sheet as HTML; hovering over a column of a code shows its name and value."""
    names = ["image"] * preview.shows_images + [view.name for view in preview.plan.views]
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "\n".join(_row(preview, row) for row in preview.rows)
    note = f"seed {preview.seed}, epoch {preview.epoch}, plan {preview.plan.hash}"
    legend = "Codes: red is positive, blue negative, white the identity, relative to the range of "
    legend += "each column; gray columns cannot act. Hover over a column for its name and value."
    table = f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
    body = f'<table class="sheet">{table}</table>\n<p class="note">{legend}</p>'
    return _page(preview.plan.name, note, body)


def sweep_page(title: str, note: str, strips: Sequence[Strip]) -> str:
    """Sweeps as HTML."""
    return _page(title, note, "\n".join(_strip(strip) for strip in strips))


def _page(title: str, note: str, body: str) -> str:
    head = f'<h1>{escape(title)}</h1>\n<p class="note">{escape(note)}</p>'
    return document(title, _STYLE, f"{head}\n{body}")


def document(title: str, style: str, body: str) -> str:
    """A page that needs nothing beside it."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _row(preview: Preview, row: Row) -> str:
    picture = row.picture
    source = f"{picture.name}, {picture.image.width}x{picture.image.height}"
    source += f", {picture.note}" if picture.note else ""
    cells = [_sample(sample, source) for sample in row.samples]
    if preview.shows_images:
        shown = scaled(picture.image, _SIDE) if max(picture.image.size) > _SIDE else picture.image
        image = _image(data_uri(shown), source, small=max(shown.size) < _SIDE)
        cells.insert(0, f'{image}<div class="note">{escape(source)}</div>')
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _sample(sample: Sample, source: str) -> str:
    size = f"{sample.image.width}x{sample.image.height}"
    image = _image(data_uri(sample.image), f"{sample.view} of {source}", _is_small(sample))
    acts = "".join(
        f"<li><b>{escape(path)}</b> {escape(values)}</li>" for path, values in sample.acts
    )
    return f'{image}<div class="note">{size}</div><ul>{acts}</ul>{_code(sample.code)}'


def _is_small(sample: Sample) -> bool:
    return max(sample.image.size) < _SIDE // 2


def _image(address: str, text: str, small: bool) -> str:
    kind = "view small" if small else "view"
    return f'<img class="{kind}" alt="{escape(text)}" src="{address}">'


def _code(code: Sequence[Column]) -> str:
    """The code as small tables, one for each op, which wrap where there is no room."""
    tables = (list(group) for _, group in groupby(code, key=lambda column: column.slot.op))
    return '<div class="codes">' + "".join(map(_op_code, tables)) + "</div>" if code else ""


def _op_code(columns: Sequence[Column]) -> str:
    cells = "".join(_cell(column) for column in columns)
    return f'<table class="code"><tr>{cells}</tr><tr>{"".join(_heads(columns))}</tr></table>'


def _cell(column: Column) -> str:
    shade = f"rgb{colour(column.level)}" if column.most else "#ececec"
    reach = f"within ±{column.most:.4g}" if column.most else "cannot act"
    title = f"{column.name} = {column.value:.4g} ({column.slot.codec} code, {reach})"
    return f'<td style="background: {shade}" title="{escape(title)}"></td>'


def _heads(columns: Sequence[Column]) -> Iterator[str]:
    slots = [(slot, len(list(own))) for slot, own in groupby(columns, key=lambda c: c.slot)]
    for slot, count in slots:
        name = slot.op if len(slots) == 1 else f"{slot.op}.{slot.parameter}"
        yield f'<th colspan="{count}" title="{escape(slot.unit)}">{escape(name)}</th>'


def _strip(strip: Strip) -> str:
    figures = "".join(
        f"<figure>{_image(data_uri(view), value, max(view.size) < _SIDE // 2)}"
        f"<figcaption>{escape(value)}</figcaption></figure>"
        for view, value in zip(strip.views, strip.values, strict=True)
    )
    text = escape(f"{strip.picture.name}, {strip.around}")
    return f'<p class="note">{text}</p>\n<div class="strip">{figures}</div>'
