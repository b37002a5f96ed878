"""Batches: the order, resumption, sharding, prefetching and corrupt images."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from equimod.data import (
    Batch,
    CorruptImageError,
    CorruptReport,
    DataError,
    FolderConfig,
    ImageData,
    ShapesConfig,
    batches,
    number_of_batches,
)
from equimod.data.draws import permutation

DATA = ShapesConfig(train=100, size=8).build("train", Path())


def run(data: ImageData = DATA, **options: object) -> list[Batch]:
    return list(batches(data, **{"batch_size": 16, "seed": 3, "epoch": 0, **options}))


def ids(found: list[Batch]) -> list[int]:
    return torch.cat([batch.ids for batch in found]).tolist() if found else []


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images of which every tenth is cut short."""
    root = tmp_path_factory.mktemp("broken")
    for number in range(60):
        path = root / "train" / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        if number % 10 == 0:
            path.write_bytes(path.read_bytes()[:20])
    return root


@pytest.fixture(scope="module", params=["memory", "files"])
def damaged(request: pytest.FixtureRequest, broken: Path) -> ImageData:
    limit = 2**30 if request.param == "memory" else 0
    return FolderConfig(path=broken, size=8, memory_limit=limit).build("train", Path())


@given(count=st.integers(1, 500), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 2**32 - 1))
def test_permutation_is_a_pure_function(count: int, seed: int, epoch: int) -> None:
    order = permutation(count, seed=seed, epoch=epoch)
    assert order.sort().values.tolist() == list(range(count))
    assert torch.equal(order, permutation(count, seed=seed, epoch=epoch))


def test_seeds_and_epochs_give_different_orders() -> None:
    orders = [permutation(100, seed=s, epoch=e).tolist() for s in range(20) for e in range(20)]
    assert len({tuple(order) for order in orders}) == 400
    # each place is equally likely to hold each sample
    first = torch.tensor([permutation(4, seed=s, epoch=0).tolist() for s in range(2000)])
    counts = torch.stack([first[:, place].bincount() for place in range(4)])
    assert ((counts - 500).abs() < 90).all()  # 4.6 standard deviations


def test_the_global_generator_is_not_touched() -> None:
    state = torch.get_rng_state()
    run()
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_hold_what_their_ids_say() -> None:
    found = run()
    assert [len(batch) for batch in found] == [16] * 6
    assert ids(found) == permutation(100, seed=3, epoch=0)[:96].tolist()
    for batch in found:
        assert torch.equal(batch.images, DATA.images[batch.ids])
        assert torch.equal(batch.labels, DATA.labels[batch.ids])
    assert ids(run(epoch=1)) != ids(found) != ids(run(seed=4))


@given(
    count=st.integers(1, 100),
    batch_size=st.integers(1, 120),
    world_size=st.integers(1, 7),
    shuffle=st.booleans(),
)
def test_evaluation_counts_every_sample_once(
    count: int, batch_size: int, world_size: int, shuffle: bool
) -> None:
    data = ShapesConfig(train=count, size=8).build("train", Path())
    shards = [
        run(
            data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=False,
            rank=rank,
            world_size=world_size,
        )
        for rank in range(world_size)
    ]
    number = number_of_batches(data, batch_size, drop_last=False)
    assert {len(shard) for shard in shards} == {number}
    in_order = [shard[k] for k in range(number) for shard in shards]
    single = run(data, batch_size=batch_size, shuffle=shuffle, drop_last=False)
    assert ids(in_order) == ids(single)
    # a position is a sample's place in the epoch's order, whichever process has it
    assert torch.cat([batch.positions for batch in in_order]).tolist() == list(range(count))
    assert sorted(ids(single)) == list(range(count))
    assert all(batch.images.shape[1:] == (3, 8, 8) for batch in in_order)


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_the_ids_of_a_batch_do_not_depend_on_the_number_of_processes(world_size: int) -> None:
    shards = [run(rank=rank, world_size=world_size) for rank in range(world_size)]
    for k, whole in enumerate(run()):
        assert [i for shard in shards for i in shard[k].ids.tolist()] == whole.ids.tolist()
        assert {len(shard[k]) for shard in shards} == {16 // world_size}


@pytest.mark.parametrize("start", range(7))
@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_within_an_epoch(damaged: ImageData, start: int, workers: int) -> None:
    whole = run(damaged, batch_size=9)
    rest = run(damaged, batch_size=9, start_batch=start, workers=workers)
    assert [batch.ids.tolist() for batch in rest] == [batch.ids.tolist() for batch in whole[start:]]
    for found, expected in zip(rest, whole[start:], strict=True):
        assert torch.equal(found.images, expected.images)


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("world_size", [1, 3])
def test_training_replaces_corrupt_images(
    damaged: ImageData, workers: int, world_size: int
) -> None:
    reports = [CorruptReport() for _ in range(world_size)]
    shards = [
        run(damaged, batch_size=12, workers=workers, rank=r, world_size=world_size, report=report)
        for r, report in enumerate(reports)
    ]
    order = permutation(60, seed=3, epoch=0)
    for k in range(5):
        wanted = order[12 * k : 12 * k + 12].tolist()
        found = [i for shard in shards for i in shard[k].ids.tolist()]
        for place, (index, got) in enumerate(zip(wanted, found, strict=True)):
            after = wanted[place:] + wanted[:place]
            assert got == next(i for i in after if i % 10)
            assert (got == index) == (index % 10 != 0)
        for shard in shards:
            assert shard[k].images[:, 0, 0, 0].tolist() == shard[k].ids.tolist()
    met = sorted(index for report in reports for index in report.errors)
    assert met == [0, 10, 20, 30, 40, 50]


def test_evaluation_leaves_corrupt_images_out(damaged: ImageData) -> None:
    report = CorruptReport()
    found = run(damaged, drop_last=False, shuffle=False, report=report)
    assert ids(found) == [index for index in range(60) if index % 10]
    assert len(report) == 6
    run(damaged, drop_last=False, epoch=1, report=report)
    assert len(report) == 6
    text = report.describe(limit=2)
    assert text.startswith("6 corrupt images were skipped:\n")
    assert text.endswith("\n  and 4 more")
    assert text.count("00.png") == 1
    assert CorruptReport().describe() == ""


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_images_may_end_the_run(damaged: ImageData, workers: int) -> None:
    with pytest.raises(CorruptImageError, match=r"cannot decode the image .*0\.png: "):
        run(damaged, on_corrupt="raise", workers=workers)


def test_a_batch_that_is_mostly_corrupt_ends_the_run(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / "train" / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
        if number < 7:
            path.write_bytes(b"x")
    data = FolderConfig(path=tmp_path, size=8).build("train", Path())
    with pytest.raises(DataError, match=r"7 of the 12 images of a batch are corrupt; .*\.png"):
        run(data, batch_size=12)


def test_threads_end_with_the_iteration(broken: Path) -> None:
    data = FolderConfig(path=broken, size=8, memory_limit=0).build("train", Path())
    iterator = batches(data, batch_size=6, seed=0, epoch=0, workers=2)
    next(iterator)
    assert any(thread.name.startswith("decode") for thread in threading.enumerate())
    iterator.close()
    assert not any(thread.name.startswith("decode") for thread in threading.enumerate())


def test_number_of_batches() -> None:
    assert number_of_batches(DATA, 16) == 6
    assert number_of_batches(DATA, 16, drop_last=False) == 7
    assert number_of_batches(DATA, 100) == number_of_batches(DATA, 1000, drop_last=False) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 101}, "batch_size 101 is larger than the data set .*choose at most 100"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"world_size": 3}, "cannot be shared equally by 3 processes; choose a multiple of 3"),
        ({"rank": 2, "world_size": 2}, r"rank must be in \[0, 2\), got 2"),
        ({"start_batch": 7}, r"start_batch must be in \[0, 6\], got 7"),
        ({"on_corrupt": "ignore"}, "'skip' or 'raise', got 'ignore'"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        batches(DATA, **{"batch_size": 16, "seed": 0, "epoch": 0, **options})
