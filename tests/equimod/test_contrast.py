"""The chunked cross entropy against one written out, in its digits, its derivatives, its memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from equimod import contrast as module
from equimod.contrast import contrast
from equimod.losses import equivariance_nt_xent, nt_xent


@pytest.fixture
def set_chunk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Tensor, Tensor], None]:
    """Makes chunks hold the logits of so many images, of such anchors against such keys."""

    def set_images(images: int, anchors: Tensor, keys: Tensor) -> None:
        image_bytes = anchors.shape[1] * keys.shape[:2].numel() * anchors.element_size()
        monkeypatch.setattr(module, "CHUNK_BYTES", images * image_bytes)

    return set_images


def random_pair(
    n: int, m: int, roles: int, dim: int = 3, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Anchors `(n, roles, dim)` and keys `(m, roles, dim)`."""
    g = torch.Generator().manual_seed(0)
    shapes = (n, roles, dim), (m, roles, dim)
    pair = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes)
    anchors, keys = (x.to(dtype).requires_grad_() for x in pair)
    return anchors, keys


def written_out(anchors: Tensor, keys: Tensor, first: int, siblings: bool) -> Tensor:
    """Each row's cross entropy, over the columns that a list names."""
    roles = anchors.shape[1]
    losses = []
    for n, image in enumerate(anchors):
        for role, row in enumerate(image):
            partner = (first + n, (role + roles // 2) % roles)
            others = [
                (m, other)
                for m in range(len(keys))
                for other in range(roles)
                if m != first + n or (siblings and other not in (role, partner[1]))
            ]
            logits = torch.stack([row @ keys[at] for at in (partner, *others)])
            losses.append(logits.logsumexp(0) - logits[0])
    return torch.stack(losses).mean()


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(function(*inputs), inputs)


@pytest.mark.parametrize("siblings", [True, False])
@pytest.mark.parametrize("roles", [2, 4, 6])
@pytest.mark.parametrize(("n", "m", "first"), [(1, 1, 0), (1, 3, 1), (5, 5, 0), (5, 9, 3)])
@pytest.mark.parametrize("images", [1, 2, 5])
def test_value_and_gradients_are_those_written_out(
    set_chunk, images: int, n: int, m: int, first: int, roles: int, siblings: bool
) -> None:
    anchors, keys = random_pair(n, m, roles)
    set_chunk(images, anchors, keys)
    ours = contrast(anchors, keys, first, siblings=siblings)
    theirs = written_out(anchors, keys, first, siblings)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-13)
    for mine, reference in zip(
        torch.autograd.grad(ours, (anchors, keys)),
        torch.autograd.grad(theirs, (anchors, keys)),
        strict=True,
    ):
        assert torch.allclose(mine, reference, rtol=0, atol=1e-13)


@pytest.mark.parametrize("only", [0, 1])
def test_one_side_alone_may_have_a_gradient(set_chunk, only: int) -> None:
    pair = list(random_pair(5, 7, 4))
    set_chunk(2, *pair)
    pair[1 - only].requires_grad_(False)
    (mine,) = torch.autograd.grad(contrast(*pair, 2, siblings=True), pair[only])
    (reference,) = torch.autograd.grad(written_out(*pair, 2, True), pair[only])
    assert torch.allclose(mine, reference, rtol=0, atol=1e-13)


class Stopped(torch.autograd.Function):
    """The identity, through which no gradient comes back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        return None


def test_where_no_gradient_arrives_none_is_passed_on() -> None:
    anchors, keys = random_pair(2, 2, 2)
    Stopped.apply(contrast(anchors, keys, 0, siblings=True)).backward()
    assert anchors.grad is keys.grad is None


@pytest.mark.parametrize("negatives", ["all", "no_sibling"])
def test_first_and_second_derivatives(set_chunk, negatives: Any) -> None:
    x = [x.detach().requires_grad_() for x in random_pair(3, 3, 4)[0].unbind(1)]
    stacked = torch.stack(x, 1)
    set_chunk(2, stacked, stacked)

    def loss(*x: Tensor) -> Tensor:
        return equivariance_nt_xent(x[:2], x[2:], 0.5, negatives)

    assert torch.autograd.gradcheck(loss, x)
    assert torch.autograd.gradgradcheck(loss, x)
    for mine, reference in zip(
        torch.func.grad(loss, (0, 1, 2, 3))(*x), gradients(loss, *x), strict=True
    ):
        assert torch.allclose(mine, reference, rtol=0, atol=1e-14)


def test_a_loss_far_below_one_keeps_its_digits_and_its_gradient() -> None:
    """In float32, 1 - softmax of the positive is 0 here, and so is logsumexp - positive."""
    torch.manual_seed(0)
    a = torch.linalg.qr(torch.randn(16, 16))[0]
    b = a + 0.01 * torch.randn(16, 16)
    single = [x.clone().requires_grad_() for x in (a, b)]
    double = [x.double().requires_grad_() for x in (a, b)]
    losses = nt_xent(*single, 0.02), nt_xent(*double, 0.02)
    assert 0 < losses[1].item() < 1e-18
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-4)
    for mine, reference in zip(
        torch.autograd.grad(losses[0], single), torch.autograd.grad(losses[1], double), strict=True
    ):
        assert torch.allclose(mine.double(), reference, rtol=0, atol=1e-4 * reference.abs().max())


def test_logits_far_beyond_what_exp_can_take() -> None:
    a, b = random_pair(6, 6, 2, dtype=torch.float32)[0].detach().unbind(1)
    rows = torch.nn.functional.normalize(torch.stack([a, b], 1).double(), dim=2)
    exact = written_out(rows / 1e-3, rows, 0, True).item()
    assert 100 < exact < 2000
    assert nt_xent(a, b, 1e-3).item() == pytest.approx(exact, rel=1e-5)


def test_chunks_change_no_more_than_rounding_and_runs_nothing(set_chunk) -> None:
    anchors, keys = random_pair(50, 60, 4, dim=16, dtype=torch.float32)
    found = []
    for images in (50, 7, 7):
        set_chunk(images, anchors, keys)
        loss = contrast(anchors, keys, 5, siblings=True)
        found.append((loss, *torch.autograd.grad(loss, (anchors, keys))))
    whole, chunked, again = found
    for x, y, z in zip(whole, chunked, again, strict=True):
        assert torch.equal(y, z)
        assert torch.allclose(x, y, rtol=1e-5, atol=1e-6 * x.abs().max().item())


def test_it_compiles_as_one_graph_for_any_batch_size(set_chunk) -> None:
    torch.compiler.reset()
    compiled = torch.compile(nt_xent, fullgraph=True, backend="aot_eager")
    for n in (6, 5):
        a, b = (x.detach().requires_grad_() for x in random_pair(n, n, 2)[0].unbind(1))
        rows = torch.stack([a, b], 1)
        set_chunk(2, rows, rows)
        ours, theirs = compiled(a, b, 0.5), nt_xent(a, b, 0.5)
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-14)
        for mine, reference in zip(
            torch.autograd.grad(ours, (a, b)), torch.autograd.grad(theirs, (a, b)), strict=True
        ):
            assert torch.allclose(mine, reference, rtol=0, atol=1e-14)


class Operations(TorchDispatchMode):
    """Sees every operation, also those within autograd functions and backward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(x, Tensor):
                self.largest = max(self.largest, x.untyped_storage().nbytes())
        self.names.append(func.overloadpacket.__name__)
        return result


def operations(x: list[Tensor], backward: bool = True) -> Operations:
    with Operations() as seen:
        loss = equivariance_nt_xent(x[:2], x[2:])
        if backward:
            loss.backward()
    return seen


def test_no_tensor_is_larger_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    x = [x.detach().requires_grad_() for x in random_pair(64, 1, 4, 16)[0].float().unbind(1)]
    logits = (4 * 64) ** 2 * 4
    assert operations(x).largest == logits  # one chunk: it is seen
    monkeypatch.setattr(module, "CHUNK_BYTES", logits // 6)
    assert operations(x).largest <= logits // 6


def test_without_a_gradient_only_the_logits_are_multiplied() -> None:
    x = [x.detach() for x in random_pair(8, 1, 4)[0].unbind(1)]
    with_gradient = operations([x[0].clone().requires_grad_(), *x[1:]])
    without = operations(x, backward=False)
    products = [sum(name in ("mm", "addmm_") for name in o.names) for o in (with_gradient, without)]
    assert products == [3, 1]


def test_16384_rows_take_less_than_400_MB(root: Path) -> None:
    """Resident memory of a real process, and that what the benchmark compares is the same."""
    code = """\
import loss
print(loss.difference(loss.SIZES[0], "cpu", 1))
print(loss.SIZES[-1].rows, loss.peak("chunked", loss.SIZES[-1], "cpu", 1))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root / "benchmarks", text=True, capture_output=True
    )
    assert result.returncode == 0, result.stderr
    differences, measured = result.stdout.splitlines()
    assert max(map(float, differences.strip("()").split(","))) < 1e-5
    rows, megabytes = measured.split()
    logits_of_a_chunk = module.CHUNK_BYTES / 1e6
    assert rows == "16384"
    assert logits_of_a_chunk / 2 < float(megabytes) < 400
