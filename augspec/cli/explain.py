"""`augspec explain`: a page for readers, on their own spec and image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from augspec.cli.common import Flag, Overrides, SampleId, Word, load_spec, mistake, unknown
from augspec.language.files import write_atomically


def explain(
    path: Path,
    image: Path | None = None,
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    view: str | None = None,
    seed: Word = 0,
    epoch: Word = 0,
    sample: SampleId = 0,
    set_: Overrides = None,
    allow_outside: Flag = False,
) -> int:
    """Write a page that explains a spec's codes on one image.

    Args:
        path: the spec.
        image: an image file; without it, a built-in scene.
        output: the file to write, `.html` or `.png`.
        view: show this view only.
        seed: of the draws.
        epoch: of the draws.
        sample: the id by which the draws know the image; another one has other draws.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
    """
    if output.suffix.lower() not in (".png", ".html"):
        raise mistake(f"--output must end in .png or .html, got {str(output)!r}")
    spec = load_spec(path, set_, allow_outside)
    names = list(spec.renderings)
    if view is not None and view not in names:
        raise unknown("view", view, names)
    if image is not None and image.is_dir():
        raise mistake(f"{image} is a folder: name one image")
    from augspec.preview.explain import explain as explained
    from augspec.preview.pictures import find_files, pictures_of

    files = find_files([image] if image is not None else [])
    (picture,) = pictures_of(files, spec.input_size)
    views = None if view is None else [view]
    try:
        found = explained(spec, picture, views=views, seed=seed, epoch=epoch, sample=sample)
    except ValueError as error:  # an op refuses images of this size
        raise mistake(f"{picture.name}: {error}") from error
    if output.suffix.lower() == ".html":
        from augspec.preview.explain_page import explain_page
        from augspec.preview.explain_words import snippet

        python = snippet(found, str(path), set_ or (), allow_outside)
        write_atomically(output, explain_page(found, python))
    else:
        from augspec.preview.explain_sheet import explain_sheet
        from augspec.preview.files import png

        write_atomically(output, png(explain_sheet(found)))
    print(f"{output}: {spec.name}, {', '.join(story.plan.name for story in found.stories)}")
    return 0
