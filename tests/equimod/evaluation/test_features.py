from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from equimod.distributed import gather_rows
from equimod.evaluation.features import evaluating, extract, first_images, labelled, minibatches


def batch(ids: list[int]) -> SimpleNamespace:
    """Images whose pixels are all the id, with labels (id, -1)."""
    index = torch.tensor(ids)
    images = index.to(torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    return SimpleNamespace(
        images=images, labels=torch.stack([index, torch.full_like(index, -1)], dim=1), ids=index
    )


def to_float(images: Tensor) -> Tensor:
    return images.float()


def test_every_sample_once_in_order() -> None:
    batches = [batch([3, 1]), batch([2, 3]), batch([5])]  # 3 stands in for a corrupt image
    features, labels = extract(nn.Flatten(), batches, to_float, "cpu")
    assert features[:, 0].tolist() == [3, 1, 2, 5]
    assert labels.tolist() == [[3, -1], [1, -1], [2, -1], [5, -1]]
    assert features.dtype == torch.float32 and features.shape == (4, 48)


def test_modes_come_back_and_statistics_stay() -> None:
    frozen = nn.BatchNorm2d(3).eval()
    encoder = nn.Sequential(nn.BatchNorm2d(3), frozen, nn.Flatten())
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    extract(encoder, [batch([1, 2])], to_float, "cpu")
    assert [m.training for m in encoder] == [True, False, True] and encoder.training
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_modes_come_back_after_an_error() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="inside"), evaluating(module):
        assert not module.training
        raise RuntimeError("inside")
    assert module.training


def test_a_classifier_can_be_trained_on_the_features() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))
    features, _ = extract(encoder, [batch([1, 2])], to_float, "cpu")
    assert not features.requires_grad
    head = nn.Linear(4, 1)
    head(features).sum().backward()
    assert torch.allclose(head.weight.grad, features.sum(0, keepdim=True))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(ValueError, match="the split is empty"):
        extract(nn.Flatten(), [], to_float, "cpu")


def test_unlabelled_samples_are_left_out() -> None:
    x, y = torch.arange(6.0).view(3, 2), torch.tensor([-1, 4, 0])
    kept_x, kept_y = labelled(x, y, "train")
    assert kept_x.tolist() == [[2, 3], [4, 5]] and kept_y.tolist() == [4, 0]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            torch.zeros(2, 3),
            torch.tensor([-1, -1]),
            "test split: none of the 2 samples has a label",
        ),
        (torch.zeros(2, 3), torch.zeros(3), r"features must be \(N, F\) and labels \(N,\)"),
        (torch.full((1, 2), torch.nan), torch.tensor([0]), "the encoder has diverged"),
    ],
)
def test_bad_features_are_refused(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labelled(x, y, "test split")


def test_first_images_cuts_the_last_batch() -> None:
    source = iter([batch([0, 1, 2]), batch([3, 4, 5]), batch([6])])
    assert [b.ids.tolist() for b in first_images(source, 4)] == [[0, 1, 2], [3]]
    assert [b.ids.tolist() for b in source] == [[6]]  # no batch was read for nothing


def test_minibatches_are_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(list(minibatches(100, 32, seed=seed, epoch=epoch))).tolist()

    assert sorted(order(0, 0)) == list(range(100))
    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert [len(b) for b in minibatches(100, 32, seed=0, epoch=0)] == [32, 32, 32, 4]
    kept = [len(b) for b in minibatches(100, 32, seed=0, epoch=0, drop_last=True)]
    assert kept == [32, 32, 32]


WORLD = 3


def part_of(rank: int, meeting: str) -> tuple[Tensor, Tensor]:
    """What a process finds that has each third sample but those that nobody can read."""
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORLD)
    mine = {0: [batch([0, 3]), batch([6])], 1: [batch([1, 4])], 2: []}[rank]
    share = partial(gather_rows, device=torch.device("cpu"))
    try:
        return extract(nn.Flatten(), mine, to_float, "cpu", share)
    finally:
        dist.destroy_process_group()


def test_processes_share_the_work_and_count_every_sample_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORLD, mp_context=spawn) as pool:
        work = [pool.submit(part_of, rank, f"file://{tmp_path / 'meet'}") for rank in range(WORLD)]
        found = [each.result(timeout=120) for each in work]
    ids = [0, 1, 3, 4, 6]
    alone, labels = extract(nn.Flatten(), [batch(ids)], to_float, "cpu")
    for features, theirs in found:
        assert torch.equal(features, alone)
        assert torch.equal(theirs, labels)
