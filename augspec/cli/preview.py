"""`augspec preview`: what a spec makes of images, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from augspec.cli.common import Flag, Overrides, Word, load_spec, mistake
from augspec.language.files import write_atomically

if TYPE_CHECKING:
    from augspec.language.spec import Spec
    from augspec.preview.pictures import Picture

MOST_ROWS = 12


def preview(
    path: Path,
    *images: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    seed: Word = 0,
    epoch: Word = 0,
    rows: int | None = None,
    sweep: str | None = None,
    steps: int = 9,
    around: Literal["identity", "draw"] | None = None,
    set_: Overrides = None,
    allow_outside: Flag = False,
) -> int:
    """Draw what a spec makes of images: a row for each image, a column for each view.

    Args:
        path: the spec.
        images: image files, and folders of them; without any, a built-in scene.
        output: the file to write, `.png` or `.html`.
        seed: of the draws.
        epoch: of the draws.
        rows: how many rows; images come again with other draws where there are fewer.
        sweep: a parameter to draw over its range instead, such as `first.color_jitter.hue`.
        steps: how many values the sweep shows.
        around: what all else is at in a sweep: its identity, or the sample's draw. By default the
            identity, or a draw where the parameter does nothing otherwise.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
    """
    if output.suffix.lower() not in (".png", ".html"):
        raise mistake(f"--output must end in .png or .html, got {str(output)!r}")
    if rows is not None and rows < 1:
        raise mistake(f"--rows must be at least 1, got {rows}")
    if steps < 2:
        raise mistake(f"--steps must be at least 2, got {steps}")
    spec = load_spec(path, set_, allow_outside)
    from augspec.preview.pictures import find_files, pictures_of

    files = find_files(images)
    count = rows or min(max(1, len(files)), MOST_ROWS)
    pictures = pictures_of(files[:count], spec.input_size)
    html = output.suffix.lower() == ".html"
    if sweep is not None:
        content = _sweep(spec, sweep, pictures, html, steps, seed, epoch, around)
    else:
        content = _sheet(spec, pictures, html, count, seed, epoch)
    write_atomically(output, content)
    left = f" ({len(files) - count} more images left out: --rows)" if len(files) > count else ""
    print(f"{output}: {spec.name}, {'1 row' if count == 1 else f'{count} rows'}{left}")
    return 0


def _sheet(
    spec: Spec, pictures: list[Picture], html: bool, rows: int, seed: int, epoch: int
) -> str | bytes:
    from augspec.preview.files import png
    from augspec.preview.page import sheet_page
    from augspec.preview.samples import preview as rendered
    from augspec.preview.sheet import sheet

    found = rendered(spec, pictures, seed=seed, epoch=epoch, rows=rows)
    return sheet_page(found) if html else png(sheet(found))


def _sweep(
    spec: Spec,
    path: str,
    pictures: list[Picture],
    html: bool,
    steps: int,
    seed: int,
    epoch: int,
    around: Literal["identity", "draw"] | None,
) -> str | bytes:
    from augspec.compiler.plan import make_plan
    from augspec.preview.files import png
    from augspec.preview.page import sweep_page
    from augspec.preview.sweep import find, sweep_sheet
    from augspec.preview.sweep import sweep as swept

    plan = make_plan(spec)
    target = find(plan, path)
    strips = [
        swept(plan, target, p, steps=steps, seed=seed, epoch=epoch, sample=k, around=around)
        for k, p in enumerate(pictures)
    ]
    unit = next(p.unit for p in target.step.op.parameters() if p.name == target.name)
    title, note = f"{spec.name}: {path}", f"unit: {unit}; seed {seed}, epoch {epoch}"
    return sweep_page(title, note, strips) if html else png(sweep_sheet(title, note, strips))
