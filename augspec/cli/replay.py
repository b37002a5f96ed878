"""`augspec replay`: render the views of a saved batch again, and prove that they are the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from augspec.cli.common import mistake
from augspec.language.table import table

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.codes.replay import Replayed
    from augspec.codes.saved import SavedBatch


def replay(
    path: Path,
    *images: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    device: Literal["cpu", "cuda", "auto"] = "cpu",
) -> int:
    """Render the views of a saved batch again, and compare them bit by bit with the record.

    The status is 0 where every view is bit-equal to what was recorded, and 1 where one is not.

    Args:
        path: the file that `augspec record` or `augspec.save_batch` wrote.
        images: the image files, and folders of them, where the file holds no images; in any order.
        output: the folder for the views, a PNG file for each sample and view.
        device: where to render; `auto` is a GPU where there is one.
    """
    from augspec.codes.exchange import load_batch
    from augspec.codes.replay import replay as replayed
    from augspec.preview.files import write_png
    from augspec.preview.pictures import to_image

    if output.exists() and not output.is_dir():
        raise mistake(f"--output must be a folder, and {output} is a file")
    where = _device(device)
    found: list[Replayed] = []
    try:
        saved = load_batch(path)
        given = _given(saved, images) if images else None
        for one in replayed(saved, given, where):
            # what lies outside [0, 1] before it is normalised is cut off
            write_png(output / file_name(saved, one.sample, one.view), to_image(one.pixels))
            found.append(one)
    except ValueError as error:
        message = str(error)
        raise mistake(
            message if message.startswith(f"{path}: ") else f"{path}: {message}"
        ) from None
    count = "1 sample" if len(saved) == 1 else f"{len(saved)} samples"
    print(f"{path}: {saved.spec.name}, {count}, seed {saved.seed}, epoch {saved.epoch}, on {where}")
    rows = [("view", "bit-equal", "largest difference"), *_rows(saved, found)]
    print("\n".join(table(rows)))
    if saved.pipeline().plan.hash != saved.plan:
        print(f"note: recorded by plan {saved.plan}, rendered by {saved.pipeline().plan.hash}")
    print(f"{output}: {len(found)} views")
    return 1 if any(one.equal is False for one in found) else 0


def file_name(saved: SavedBatch, sample: int, view: str) -> str:
    """The name of a view's PNG file, such as `0003-robin-first.png`.

    The image's name comes from a file that anyone may have written: nothing but its last part, and
    plain characters of it, can become a part of a path.
    """
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(saved.names[sample]).stem)[:80]
    return f"{sample:04d}-{stem}-{view}.png"


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise mistake("--device cuda: torch sees no CUDA GPU here (cpu, auto)")
    return name


def _given(saved: SavedBatch, images: Sequence[Path]) -> list[Tensor]:
    """The images of the samples among the files given, read as they were for the record."""
    from augspec.codes.reference import digest
    from augspec.codes.replay import by_digest
    from augspec.preview.pictures import find_files, read_pictures, to_tensor

    pictures = read_pictures(find_files(images), saved.spec.input_size)
    tensors = [to_tensor(picture.image, saved.spec.image.channels)[0] for picture in pictures]
    return by_digest(saved, {digest(tensor): tensor for tensor in tensors})


def _rows(saved: SavedBatch, found: Sequence[Replayed]) -> list[tuple[str, str, str]]:
    rows = []
    for view in saved.layouts:
        own = [one for one in found if one.view == view]
        off = [one for one in own if one.equal is False]
        if any(one.equal is None for one in own):
            rows.append((view, "nothing recorded", ""))
        elif not off:
            rows.append((view, f"{len(own)} of {len(own)}", "0"))
        else:
            known = [one for one in off if one.difference is not None]
            worst = max(known, key=lambda one: one.difference or 0.0, default=None)
            text = f"unknown: record with --views (first: sample {off[0].sample})"
            if worst is not None:
                text = f"{worst.difference:.3g} (sample {worst.sample})"
            rows.append((view, f"{len(own) - len(off)} of {len(own)}", text))
    return rows
