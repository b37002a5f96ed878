"""The same (seed, epoch, id) gives the same parameters, codes and views, however it is asked for.

Whatever the batch size, the order, the split over processes, the number of workers and the batch at
which an epoch is taken up again.
"""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import augspec
from augspec import Pipeline, ViewBatch
from equimod.data import FolderConfig, ImageData, batches

SPECS = ("byol-cifar10", "care-cifar10", "stl-stl10", "augmix", "trivialaugment-wide")
SEED, EPOCH = 7, 3
FIELDS = ("codes", "params", "seeds", "views")
Outcome = dict[str, Tensor]
"""Tensors of one sample by `field/view/parameter`."""


def pipeline_of(root: Path, name: str) -> Pipeline:
    spec = augspec.load(root / "specs" / "augmentations" / f"{name}.yaml")
    return augspec.compile(spec, seed=SEED)


def outcomes(batch: ViewBatch, ids: Tensor) -> dict[int, Outcome]:
    """What became of each sample, by its id."""
    tensors: Outcome = {}
    for kind in FIELDS:
        for view, content in getattr(batch, kind).items():
            named = content if isinstance(content, dict) else {"": content}
            tensors |= {f"{kind}/{view}/{name}": value for name, value in named.items()}
    return {
        int(i): {name: value[row] for name, value in tensors.items()} for row, i in enumerate(ids)
    }


def assert_equal(found: dict[int, Outcome], expected: dict[int, Outcome]) -> None:
    for i, outcome in found.items():
        assert outcome.keys() == expected[i].keys()
        for name, value in outcome.items():
            assert torch.equal(value, expected[i][name]), f"sample {i}: {name}"


N = 10
POSITIONS = torch.randperm(N, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=SPECS)
def whole(
    request: pytest.FixtureRequest, root: Path
) -> tuple[Pipeline, Tensor, Tensor, dict[int, Outcome]]:
    """A pipeline, images with their ids, and what becomes of them in one batch."""
    pipeline = pipeline_of(root, request.param)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, 3, 40, 48), generator=generator, dtype=torch.uint8)
    ids = torch.randint(0, 2**31, (N,), generator=generator)
    batch = pipeline(images, ids=ids, epoch=EPOCH, positions=POSITIONS)
    return pipeline, images, ids, outcomes(batch, ids)


@settings(max_examples=8)
@given(order=st.permutations(range(N)), cuts=st.sets(st.integers(1, N - 1), max_size=4))
def test_neither_the_order_nor_the_batches_matter(
    whole: tuple[Pipeline, Tensor, Tensor, dict[int, Outcome]], order: list[int], cuts: set[int]
) -> None:
    pipeline, images, ids, expected = whole
    found: dict[int, Outcome] = {}
    for start, stop in zip((0, *sorted(cuts)), (*sorted(cuts), N), strict=True):
        rows = torch.tensor(order[start:stop])
        own = pipeline(images[rows], ids=ids[rows], epoch=EPOCH, positions=POSITIONS[rows])
        found |= outcomes(own, ids[rows])
    assert len(found) == N
    assert_equal(found, expected)


def test_what_else_is_in_the_batch_does_not_matter(
    whole: tuple[Pipeline, Tensor, Tensor, dict[int, Outcome]],
) -> None:
    """A sample twice in one batch, and beside others than before."""
    pipeline, images, ids, expected = whole
    rows = torch.tensor([3, 3, 0, 7, 3])
    batch = pipeline(images[rows], ids=ids[rows], epoch=EPOCH, positions=POSITIONS[rows])
    for kind in FIELDS:
        assert getattr(batch, kind)
    for k in range(len(rows)):
        one = {int(ids[rows[k]]): outcomes(batch, torch.arange(len(rows)))[k]}
        assert_equal(one, expected)


def test_the_seed_the_epoch_and_the_id_do_matter(
    whole: tuple[Pipeline, Tensor, Tensor, dict[int, Outcome]],
) -> None:
    pipeline, images, ids, _ = whole
    size = (images.shape[-2], images.shape[-1])
    own = pipeline.draw(ids, EPOCH, size, POSITIONS)
    view = next(name for name, code in own.items() if code.shape[1])
    for other in (
        pipeline.draw(ids, EPOCH + 1, size, POSITIONS),
        pipeline.draw(ids + 1, EPOCH, size, POSITIONS + N),
        Pipeline(pipeline.plan, seed=SEED + 1).draw(ids, EPOCH, size, POSITIONS),
    ):
        assert not torch.equal(other[view], own[view])


COUNT, BATCH = 21, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder on disk, whose files are decoded by workers."""
    place = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for k in range(COUNT):
        path = place / "train" / f"class{k % 3}" / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return place


def data_of(folder: Path) -> ImageData:
    # a limit of 0 keeps the images in their files, for the workers to decode
    return FolderConfig(path=folder, size=32, memory_limit=0).build("train", Path())


def epoch_of(root: Path, data: ImageData, **options: int) -> dict[int, Outcome]:
    """What became of every sample of an epoch, or of a process's part of it."""
    pipeline, found = pipeline_of(root, "stl-stl10"), {}
    for batch in batches(data, batch_size=BATCH, seed=SEED, epoch=EPOCH, **options):
        views = pipeline(batch.images, ids=batch.ids, epoch=EPOCH, positions=batch.positions)
        found |= outcomes(views, batch.ids)
    return found


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 2])
def test_neither_workers_nor_the_point_of_resuming_matter(
    root: Path, folder: Path, workers: int, start: int
) -> None:
    data = data_of(folder)
    expected = epoch_of(root, data)
    assert len(expected) == COUNT // BATCH * BATCH
    found = epoch_of(root, data, workers=workers, start_batch=start)
    assert len(found) == (COUNT // BATCH - start) * BATCH
    assert_equal(found, expected)


def on_one_of_two_ranks(rank: int, port: int, root: Path, folder: Path, out: Path) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    own = epoch_of(root, data_of(folder), rank=dist.get_rank(), world_size=dist.get_world_size())
    ids = torch.tensor(sorted(own))
    columns = {name: torch.stack([own[int(i)][name] for i in ids]) for name in own[int(ids[0])]}
    gathered = {}
    for name, value in {"ids": ids, **columns}.items():
        parts = [torch.empty_like(value) for _ in range(2)]
        dist.all_gather(parts, value.contiguous())
        gathered[name] = torch.cat(parts)
    torch.save(gathered, out / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_see_what_one_does(root: Path, folder: Path, tmp_path: Path) -> None:
    expected = epoch_of(root, data_of(folder))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(on_one_of_two_ranks, args=(port, root, folder, tmp_path), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    ids = first.pop("ids")
    assert torch.equal(second.pop("ids"), ids)
    assert sorted(ids.tolist()) == sorted(expected)
    for name, value in first.items():
        assert torch.equal(value, second[name])
        for row, i in enumerate(ids.tolist()):
            assert torch.equal(value[row], expected[i][name]), f"sample {i}: {name}"
