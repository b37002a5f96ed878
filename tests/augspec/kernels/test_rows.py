"""Running a kernel on the active rows of a batch only."""

import pytest
import torch

from augspec.kernels.rows import on_rows


def noise(*shape: int, dtype: torch.dtype = torch.float32, requires_grad: bool = False):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.requires_grad_(requires_grad)


def scale(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return x * factor.reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("active", [[True, False, True], [False] * 3, [True] * 3])
@pytest.mark.parametrize("compiled", [False, True])
def test_active_rows_change_and_the_others_are_bit_equal(
    active: list[bool], compiled: bool
) -> None:
    run = torch.compile(on_rows, fullgraph=True, backend="eager") if compiled else on_rows
    x, factor = noise(3, 1, 2, 2), torch.tensor([2.0, 3.0, 4.0])
    out = run(torch.tensor(active), scale, x, factor)
    for row, is_active in enumerate(active):
        assert torch.equal(out[row], x[row] * factor[row] if is_active else x[row])


def test_inactive_rows_are_not_computed_on_a_cpu() -> None:
    seen = []

    def record(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        seen.append((x.shape[0], factor.tolist()))
        return x

    x = noise(4, 3, 2, 2)
    on_rows(torch.tensor([False, True, False, True]), record, x, torch.arange(4.0))
    assert seen == [(2, [1.0, 3.0])]
    assert on_rows(torch.zeros(4, dtype=torch.bool), record, x, torch.arange(4.0)) is x
    assert len(seen) == 1


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_reach_images_and_the_parameters_of_active_rows(compiled: bool) -> None:
    run = torch.compile(on_rows, fullgraph=True, backend="aot_eager") if compiled else on_rows
    x = noise(3, 1, 2, 2, requires_grad=True)
    factor = torch.tensor([2.0, 3.0, 4.0], requires_grad=True)
    run(torch.tensor([True, False, True]), scale, x, factor).sum().backward()
    assert torch.equal(x.grad[:, 0, 0, 0], torch.tensor([2.0, 1.0, 4.0]))
    sums = x.detach().sum(dim=(1, 2, 3))
    torch.testing.assert_close(factor.grad, sums * torch.tensor([1.0, 0.0, 1.0]))
