"""augspec's pipelines. What follows the library's interface is here, and nowhere else.

A call draws and encodes the parameters, decodes the codes, and renders the two augmented views from
them: the codes are at hand when the views are, as in training. The view `original`, which the spec
has too, is not rendered, because no other contestant makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

import torch
from torch import Tensor

import augspec
from augspec.kernels.memory import release
from pipeline_bench.contestant import CannotRunError, Contestant, Job, Prepared, parallel
from pipeline_bench.workloads import VIEWS, decoded

Source = Callable[[], "Tensor | augspec.Ragged"]


def prepare(job: Job, backend: augspec.Backend) -> Prepared:
    """Draw, encode, decode and render, on a tensor or on photographs of different sizes."""
    try:
        pipeline = augspec.compile(job.workload.spec(), backend=backend).to(job.device)
    except ValueError as error:
        raise CannotRunError(str(error)) from error
    source, note, close = _source(job)
    ids, epochs = torch.arange(job.workload.batch, device=job.device), count()
    first = source()
    sizes = first.sizes if isinstance(first, augspec.Ragged) else tuple(first.shape[-2:])

    def draw() -> dict[str, Tensor]:
        codes = pipeline.draw(ids, next(epochs), sizes)
        return {name: codes[name] for name in VIEWS}

    def views() -> tuple[Tensor, ...]:
        made = pipeline.apply(source(), pipeline.decode(draw(), strict=None))
        return tuple(made[name] for name in VIEWS)

    parts = {"draw and encode": draw}
    return Prepared(views, parts=parts, note=note, close=close, forget=release)


def _source(job: Job) -> tuple[Source, str, Callable[[], None]]:
    """A call that gives the batch, a note on it, and a call that ends what it uses."""
    images = job.images
    if isinstance(images, Tensor):
        return (lambda: images), "", lambda: None
    pool = parallel(job.threads)

    def decode() -> augspec.Ragged:
        return augspec.Ragged.stack(list(pool.map(decoded, images))).to(job.device)

    return decode, "from the photographs' own pixels", pool.shutdown


BACKENDS: dict[augspec.Backend, tuple[str, ...]] = {
    "numba": ("cpu",),
    "triton": ("cuda",),
    "compiled": ("cpu", "cuda"),
    "eager": ("cpu", "cuda"),
}
"""Where each backend runs."""

CONTESTANTS = tuple(
    Contestant(f"augspec-{name}", f"augspec, {name}", partial(prepare, backend=name), (), devices)
    for name, devices in BACKENDS.items()
)
