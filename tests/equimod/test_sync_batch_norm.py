"""Batch normalisation over processes is that of one process with the whole batch."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from equimod.distributed import alone
from equimod.sync_batch_norm import SyncBatchNorm, synchronised

SHAPES = {"1d": (6, 5), "1d, long": (6, 5, 4), "2d": (6, 5, 3, 2), "3d": (6, 5, 2, 3, 2)}
OPTIONS = {
    "as usual": {},
    "not affine": {"affine": False},
    "cumulative": {"momentum": None},
    "no statistics": {"track_running_stats": False},
}


def norm_for(x: Tensor, **options: object) -> nn.Module:
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    norm = kinds[x.ndim](x.shape[1], dtype=torch.float64, **options)
    if norm.affine:
        with torch.no_grad():
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    return norm


def batches(shape: tuple[int, ...]) -> list[Tensor]:
    """Three batches far from zero, where sums of squares would lose digits."""
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=draw, dtype=torch.float64) * 3 + 100 for _ in range(3)]


def trained(norm: nn.Module, parts: list[Tensor]) -> dict[str, Tensor]:
    """What three steps leave: outputs, gradients and statistics."""
    found: dict[str, Tensor] = {}
    for number, x in enumerate(parts):
        x = x.clone().requires_grad_()
        y = norm(x)
        (y.sin() * (1 + torch.arange(y.shape[1]).view(1, -1, *[1] * (y.ndim - 2)))).sum().backward()
        found |= {f"y{number}": y.detach(), f"dx{number}": x.grad}
    found |= {f"d{name}": p.grad for name, p in norm.named_parameters()}
    norm.eval()
    return found | dict(norm.named_buffers()) | {"eval": norm(parts[0]).detach()}


def rank_of(rank: int, world: int, file: Path, case: str, option: str) -> dict[str, Tensor]:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    torch.manual_seed(7)
    whole = batches(SHAPES[case])
    norm = synchronised(nn.Sequential(norm_for(whole[0], **OPTIONS[option])), torch.device("cpu"))
    assert isinstance(norm[0], SyncBatchNorm)
    # the second process has fewer samples
    cut = [x[:4] if rank == 0 else x[4:] for x in whole]
    result = trained(norm[0], cut)
    dist.destroy_process_group()
    return result


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize(
    ("case", "option"),
    [*[(case, "as usual") for case in SHAPES], *[("2d", option) for option in list(OPTIONS)[1:]]],
)
def test_two_processes_are_as_one(
    pool: ProcessPoolExecutor, case: str, option: str, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    whole = batches(SHAPES[case])
    expected = trained(norm_for(whole[0], **OPTIONS[option]), whole)
    work = [pool.submit(rank_of, rank, 2, tmp_path / "meet", case, option) for rank in (0, 1)]
    first, second = (each.result(timeout=120) for each in work)
    assert first.keys() == second.keys() == expected.keys()
    for name, value in expected.items():
        if name.startswith(("y", "dx")):
            found = torch.cat([first[name], second[name]])
        elif name.startswith("d"):
            found = first[name] + second[name]
        elif name == "eval":
            found = torch.cat([first[name], second[name]])
        else:
            found = first[name]
            assert torch.equal(first[name], second[name])
        if option == "no statistics" and name == "eval":
            continue  # it then normalises what it is given, in eval mode too
        torch.testing.assert_close(found.to(value.dtype), value, rtol=1e-11, atol=1e-11, msg=name)


@pytest.mark.parametrize("case", SHAPES)
def test_one_process_changes_nothing(case: str) -> None:
    whole = batches(SHAPES[case])
    torch.manual_seed(7)
    expected = trained(norm_for(whole[0]), whole)
    torch.manual_seed(7)
    norm = synchronised(norm_for(whole[0]), torch.device("cpu"))
    with alone():
        found = trained(norm, whole)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_parameters_stay_the_same_objects() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())).eval()
    before = dict(model.named_parameters())
    assert synchronised(model, torch.device("cpu")) is model
    assert all(before[name] is parameter for name, parameter in model.named_parameters())
    assert not model[1][0].training
    assert model.state_dict().keys() == {f"1.0.{name}" for name in model[1][0].state_dict()} | {
        "0.weight",
        "0.bias",
    }
