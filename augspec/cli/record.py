"""`augspec record`: views of image files as a file from which they can be rendered again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from augspec.cli.common import Flag, Overrides, Word, load_spec, mistake


def record(
    path: Path,
    *images: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    seed: Word = 0,
    epoch: Word = 0,
    rows: int | None = None,
    no_images: Flag = False,
    views: Flag = False,
    set_: Overrides = None,
    allow_outside: Flag = False,
) -> int:
    """Draw views of images, and write a file from which `augspec replay` renders them again.

    The file holds the spec, the codes with their layouts, the images, and a digest of every view.
    Images may have different sizes; the id of a sample is its row's number.

    Args:
        path: the spec.
        images: image files, and folders of them; without any, a built-in scene.
        output: the file to write, `.safetensors` or `.parquet`.
        seed: of the draws.
        epoch: of the draws.
        rows: how many rows; images come again with other draws where there are fewer.
        no_images: leave the images out of the file; whoever replays it needs them.
        views: also put the views into the file, so that a replay can say how far off it is.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
    """
    if output.suffix.lower() not in (".safetensors", ".parquet"):
        raise mistake(f"--output must end in .safetensors or .parquet, got {str(output)!r}")
    if rows is not None and rows < 1:
        raise mistake(f"--rows must be at least 1, got {rows}")
    spec = load_spec(path, set_, allow_outside)
    from augspec.codes.exchange import write_batch
    from augspec.codes.record import draw_batch, rendered
    from augspec.preview.pictures import find_files, pictures_of, to_tensor

    files = find_files(images)
    count = rows or max(1, len(files))
    pictures = pictures_of(files[:count], spec.input_size)
    chosen = [pictures[k % len(pictures)] for k in range(count)]
    tensors = [to_tensor(picture.image, spec.image.channels)[0] for picture in chosen]
    names = [picture.name for picture in chosen]
    try:
        drawn = draw_batch(spec, tensors, seed=seed, epoch=epoch, names=names)
        saved = rendered(drawn, tensors, keep_images=not no_images, keep_views=views)
    except ValueError as error:  # an image that is too small for an op
        raise mistake(str(error)) from None
    write_batch(output, saved)
    resized = sum(bool(picture.note) for picture in pictures)
    note = f" ({resized} cut and resized to the spec's image.size)" if resized else ""
    shown = "1 sample" if count == 1 else f"{count} samples"
    print(f"{output}: {spec.name}, {shown}, views {', '.join(saved.layouts)}{note}")
    return 0
