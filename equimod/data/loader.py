"""Batches of a data set, in an order that is a pure function of (seed, epoch).

Batch k of an epoch is `order[k * batch_size : (k + 1) * batch_size]`, whatever the number of
processes; each process takes one contiguous slice of it. Images that are not in memory are decoded
by threads, not processes: Pillow decodes outside the interpreter's lock, and threads cannot be hit
by the signals that a cluster sends to a process group. The threads put batches together, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from augspec import Ragged
from equimod.data.base import CHANNELS, CorruptImageError, DataError, ImageData
from equimod.data.draws import permutation
from equimod.data.memory import InMemoryImages

OnCorrupt = Literal["skip", "raise"]
_Loading = Future[Tensor | CorruptImageError]
PREFETCH = 2  # batches being decoded while one is used


@dataclass(frozen=True)
class Batch:
    """One process's part of a batch.

    Attributes:
        images: `(B, 3, H, W)` uint8; ragged where the data have images of sizes of their own, but
            for a batch that is empty.
        labels: `(B, L)` int64, -1 where unknown.
        ids: `(B,)` int64, which samples these are.
        positions: `(B,)` int64, where each stands in the epoch's order, over all processes.
    """

    images: Tensor | Ragged
    labels: Tensor
    ids: Tensor
    positions: Tensor

    def __len__(self) -> int:
        return self.ids.shape[0]


@dataclass
class CorruptReport:
    """The corrupt images met so far.

    Pass the same report to every call of `batches` to count over epochs.

    Attributes:
        errors: what is wrong with each corrupt image, by id; an image met twice counts once.
    """

    errors: dict[int, CorruptImageError] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.errors)

    def describe(self, limit: int = 5) -> str:
        """Counts the corrupt images and shows the first `limit`; empty if there were none."""
        if not self.errors:
            return ""
        lines = [f"{len(self)} corrupt image{'s were' if len(self) > 1 else ' was'} skipped:"]
        lines += [
            f"  {error.place}: {error.reason}" for error in list(self.errors.values())[:limit]
        ]
        if len(self) > limit:
            lines.append(f"  and {len(self) - limit} more")
        return "\n".join(lines)


def number_of_batches(data: ImageData, batch_size: int, *, drop_last: bool = True) -> int:
    """How many batches an epoch has.

    Args:
        data: the data set.
        batch_size: samples in a batch, over all processes.
        drop_last: leave out a last, smaller batch.

    Raises:
        DataError: `batch_size` is not positive, or larger than the data set while `drop_last` is
            set.
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")
    if drop_last and batch_size > len(data):
        raise DataError(
            f"batch_size {batch_size} is larger than the data set ({data.describe()}), so an "
            f"epoch would have no batch; choose at most {len(data)}"
        )
    return len(data) // batch_size if drop_last else -(-len(data) // batch_size)


def batches(
    data: ImageData,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
    drop_last: bool = True,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    start_batch: int = 0,
    on_corrupt: OnCorrupt = "skip",
    report: CorruptReport | None = None,
) -> Iterator[Batch]:
    """Iterates over one epoch.

    The samples of batch k over all processes are a pure function of (seed, epoch, batch_size, k):
    neither the number of processes or threads nor the batch at which iteration starts changes them.
    Without `drop_last` each sample comes exactly once; the last batch is smaller, and a process's
    part of it may be empty.

    A corrupt image, with `on_corrupt="skip"`, is replaced by the next valid sample of the same
    batch if `drop_last` is set (training needs batches of one size; the sample then occurs twice),
    and is otherwise left out (an evaluation must count no sample twice).

    Args:
        data: the data set.
        batch_size: samples in a batch, over all processes; a multiple of `world_size` if
            `drop_last` is set.
        seed: in [0, 2^32).
        epoch: in [0, 2^32).
        shuffle: visit the samples in the order `draws.permutation(len(data), seed=seed,
            epoch=epoch)`; otherwise in the order of their ids.
        drop_last: leave out a last, smaller batch.
        rank: this process, from 0 to `world_size` - 1.
        world_size: number of processes.
        workers: threads that decode ahead; 0 decodes in the caller's thread. Of no effect for data
            of one size in memory.
        start_batch: the first batch to yield, to resume within an epoch.
        on_corrupt: `"raise"` ends at the first corrupt image.
        report: collects the corrupt images that this process met.

    Yields:
        This process's part of each batch.

    Raises:
        DataError: the arguments do not fit each other or the data set (raised at the call, not at
            the first batch); or more than half of a full batch is corrupt.
        CorruptImageError: an image is corrupt and `on_corrupt` is `"raise"`.
    """
    total = number_of_batches(data, batch_size, drop_last=drop_last)
    _check_processes(batch_size, rank, world_size, drop_last)
    if not 0 <= start_batch <= total:
        raise DataError(f"start_batch must be in [0, {total}], got {start_batch}")
    if on_corrupt not in ("skip", "raise"):
        raise DataError(f"on_corrupt must be 'skip' or 'raise', got {on_corrupt!r}")
    order = permutation(len(data), seed=seed, epoch=epoch) if shuffle else data.ids
    report = CorruptReport() if report is None else report
    builder = _Builder(data, batch_size, drop_last, on_corrupt, report)
    shards = (
        _Shard.of(order, k * batch_size, batch_size, rank, world_size)
        for k in range(start_batch, total)
    )
    if isinstance(data, InMemoryImages) or not workers:
        return (builder.build(shard) for shard in shards)
    return _prefetched(builder, shards, workers)


def _check_processes(batch_size: int, rank: int, world_size: int, drop_last: bool) -> None:
    if not 0 <= rank < world_size:
        raise DataError(f"rank must be in [0, {world_size}), got {rank}")
    if drop_last and batch_size % world_size:
        raise DataError(
            f"batch_size {batch_size} cannot be shared equally by {world_size} processes; choose "
            f"a multiple of {world_size}"
        )


@dataclass(frozen=True)
class _Shard:
    """The ids `batch` of all processes, of which `batch[start:stop]` are this one's.

    `first` is the position of the batch's first sample in the epoch's order.
    """

    batch: Tensor
    first: int
    start: int
    stop: int

    @classmethod
    def of(cls, order: Tensor, first: int, size: int, rank: int, world_size: int) -> _Shard:
        batch = order[first : first + size]
        count = len(batch)
        return cls(batch, first, rank * count // world_size, (rank + 1) * count // world_size)

    @property
    def own(self) -> Tensor:
        return self.batch[self.start : self.stop]

    @property
    def positions(self) -> Tensor:
        return torch.arange(self.first + self.start, self.first + self.stop)


@dataclass(frozen=True)
class _Builder:
    """Turns shards into batches."""

    data: ImageData
    batch_size: int
    keep_size: bool
    on_corrupt: OnCorrupt
    report: CorruptReport

    def build(self, shard: _Shard) -> Batch:
        data, own = self.data, shard.own
        if isinstance(data, InMemoryImages) and data.corrupt.keys().isdisjoint(own.tolist()):
            return Batch(data.images[own], data.labels[own], own, shard.positions)
        loaded = [self.load(index) for index in own.tolist()]
        self.note(shard, loaded)
        return self.assemble(shard, loaded)

    def load(self, index: int) -> Tensor | CorruptImageError:
        try:
            return self.data.load(index)
        except CorruptImageError as error:
            return error

    def assemble(self, shard: _Shard, loaded: list[Tensor | CorruptImageError]) -> Batch:
        """Makes the batch of `shard`, whose own samples are `loaded`, without corrupt ones."""
        kept: list[int] = []
        ids: list[int] = []
        images: list[Tensor] = []
        for position, image in enumerate(loaded, start=shard.start):
            if isinstance(image, Tensor):
                index = int(shard.batch[position])
            elif self.keep_size:
                index, image = self._substitute(shard.batch, position)
            else:
                continue
            kept.append(position - shard.start)
            ids.append(index)
            images.append(image)
        chosen = torch.tensor(ids, dtype=torch.int64)
        stacked = self._stacked(images)
        return Batch(stacked, self.data.labels[chosen], chosen, shard.positions[kept])

    def _stacked(self, images: list[Tensor]) -> Tensor | Ragged:
        size = self.data.image_size
        if not images:
            return torch.empty((0, CHANNELS, *(size or (1, 1))), dtype=torch.uint8)
        return Ragged.stack(images) if size is None else torch.stack(images)

    def note(self, shard: _Shard, loaded: list[Tensor | CorruptImageError]) -> None:
        """Adds the corrupt ones among the own samples of `shard` to the report, or refuses them."""
        errors = {
            index: image
            for index, image in zip(shard.own.tolist(), loaded, strict=True)
            if isinstance(image, CorruptImageError)
        }
        if not errors:
            return
        first = next(iter(errors.values()))
        if self.on_corrupt == "raise":
            raise first
        self.report.errors.update(errors)
        if 2 * len(errors) > len(loaded) and len(shard.batch) == self.batch_size:
            raise DataError(
                f"{self.data.title}: {len(errors)} of the {len(loaded)} images of a batch are "
                f"corrupt; {first}"
            )

    def _substitute(self, batch: Tensor, position: int) -> tuple[int, Tensor]:
        # the search runs over the whole batch, not over this process's part of it, so that the
        # samples of a batch stay the same for every number of processes
        others = batch.roll(-position)[1:].tolist()
        loaded = ((index, self.load(index)) for index in others)
        return next((index, image) for index, image in loaded if isinstance(image, Tensor))


def _prefetched(builder: _Builder, shards: Iterator[_Shard], workers: int) -> Iterator[Batch]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    pending: deque[tuple[_Shard, list[_Loading], Future[Batch]]] = deque()

    def assemble(shard: _Shard, images: list[_Loading]) -> Batch:
        return builder.assemble(shard, [image.result() for image in images])

    def start(shard: _Shard) -> None:
        images = [pool.submit(builder.load, index) for index in shard.own.tolist()]
        # comes after its images in the pool's queue, so all that it waits for has been begun
        pending.append((shard, images, pool.submit(assemble, shard, images)))

    def first() -> Batch:
        shard, images, batch = pending.popleft()
        # here, so that the report holds nothing of batches that are never asked for
        builder.note(shard, [image.result() for image in images])
        return batch.result()

    try:
        for shard in shards:
            start(shard)
            if len(pending) > PREFETCH:
                yield first()
        while pending:
            yield first()
    finally:
        pool.shutdown(cancel_futures=True)
