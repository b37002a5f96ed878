"""Saving a batch of views to a file with its layout, and reading it back.

    save_batch("batch.parquet", batch, pipeline, spec=spec, ids=ids, epoch=3, images=images)
    saved = load_batch("batch.parquet")
    params = saved.pipeline().decode(saved.codes, saved.seeds)   # batch.params, bit for bit

The codes are the record of what was applied, so a file holds no parameters. Images are part of it
unless they are left out; the digests of what they are rendered into always are.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from augspec.codes import exchange_parquet, exchange_safetensors
from augspec.codes.exchange_table import from_table, to_table
from augspec.codes.record import rendered
from augspec.codes.saved import ExchangeError, SavedBatch
from augspec.compiler.pipeline import Pipeline, ViewBatch
from augspec.compiler.plan import make_plan
from augspec.language.files import write_atomically
from augspec.language.spec import Spec

_FORMATS = {".safetensors": exchange_safetensors, ".parquet": exchange_parquet}
SUFFIXES = tuple(_FORMATS)


def save_batch(
    path: str | Path,
    batch: ViewBatch,
    pipeline: Pipeline,
    *,
    spec: Spec,
    ids: Tensor,
    epoch: int,
    size: tuple[int, int] | None = None,
    images: Tensor | None = None,
    positions: Tensor | None = None,
    keep_images: bool = True,
    keep_views: bool = False,
) -> SavedBatch:
    """Saves a batch; with the images, it can be rendered again anywhere, and be compared.

    What is compared are the *reference views*, which are the same bits everywhere (see
    `augspec.codes.reference`); the batch's own differ from them by what float32 and the rounding
    to 1/65280 do.

    Args:
        path: a file that ends in `.safetensors` or `.parquet`.
        batch: what the pipeline made.
        pipeline: the pipeline.
        spec: what it was compiled from.
        ids: `(B,)` integers, the samples' ids.
        epoch: the epoch of the draws.
        size: height and width of the images, needed where these are not given.
        images: `(B, C, H, W)` uint8, what came in.
        positions: `(B,)` integers, where the pipeline was given them.
        keep_images: whether the file holds the images, and not their digests alone.
        keep_views: whether the file holds the reference views, and not their digests alone.

    Returns:
        What was saved.

    Raises:
        ValueError: the suffix is another one, or the spec, shapes or codes do not fit the pipeline.
        OSError: the file cannot be written.
    """
    require_suffix(path)
    if make_plan(spec).hash != pipeline.plan.hash:
        raise ValueError(
            f"spec {spec.name!r} compiles into plan {make_plan(spec).hash}, and the pipeline runs "
            f"plan {pipeline.plan.hash}"
        )
    if images is not None:
        size = (images.shape[-2], images.shape[-1])
    if size is None:
        raise ValueError("the size of the images is needed where they are not given")
    saved = SavedBatch(
        spec=spec,
        plan=pipeline.plan.hash,
        seed=pipeline.seed,
        epoch=epoch,
        layouts=pipeline.layouts,
        ids=_whole("ids", ids, len(ids)),
        sizes=torch.tensor([size] * len(ids), dtype=torch.int64).reshape(-1, 2),
        codes={name: _coded(name, code, len(ids)) for name, code in batch.codes.items()},
        seeds={v: {k: s.detach().cpu() for k, s in own.items()} for v, own in batch.seeds.items()},
        names=tuple(str(i) for i in ids.tolist()),
        positions=None if positions is None else _whole("positions", positions, len(ids)),
    )
    pipeline.decode(saved.codes, saved.seeds)  # refuses codes that are not valid
    if images is not None:
        saved = rendered(saved, list(images), keep_images=keep_images, keep_views=keep_views)
    write_batch(path, saved)
    return saved


def write_batch(path: str | Path, saved: SavedBatch) -> Path:
    """Writes a batch to a file that ends in `.safetensors` or `.parquet`, whole or not at all.

    Raises:
        ValueError: the suffix is another one, or the batch does not fit together.
        OSError: the file cannot be written; an older one at `path` stays whole.
    """
    suffix = require_suffix(path)
    table = to_table(saved)
    from_table(table)  # what could not be read back is not written
    return write_atomically(path, _FORMATS[suffix].dump(table))


def load_batch(path: str | Path) -> SavedBatch:
    """Reads what `save_batch` or `write_batch` wrote. No code in the file is run.

    Raises:
        ExchangeError: there is no such file, it is damaged, or it holds something else.
        ValueError: the suffix is none of those allowed.
    """
    path = Path(path)
    form = _FORMATS[require_suffix(path)]
    if not path.is_file():
        raise ExchangeError(f"{path}: no such file")
    try:
        return from_table(form.parse(path))
    except ExchangeError as error:
        raise ExchangeError(f"{path}: {error}") from None


def require_suffix(path: str | Path) -> str:
    """The suffix of a batch's file, in lower case.

    Raises:
        ValueError: it is none of those allowed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"{path}: a batch's file must end in {' or '.join(SUFFIXES)}")
    return suffix


def _whole(name: str, values: Tensor, count: int) -> Tensor:
    if values.shape != (count,) or values.is_floating_point():
        raise ValueError(f"{name} must be ({count},) integers, got {tuple(values.shape)}")
    return values.detach().cpu().long()


def _coded(name: str, code: Tensor, count: int) -> Tensor:
    if len(code) != count or code.dtype != torch.float32:
        raise ValueError(
            f"codes of view {name!r} must be ({count}, E) float32, "
            f"got {tuple(code.shape)} {code.dtype}"
        )
    return code.detach().cpu()
