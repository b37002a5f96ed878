"""Predictors: which displacements they can say, their gradients, and codes of other layouts."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from augspec import Layout, LayoutMismatchError, Slot, slot_map
from equimod.predictors import PREDICTORS, Predictor, PredictorName

OF_THE_IMAGE = ("residual", "film", "low_rank")
D, E = 6, 4


def predictor(name: str, seed: int = 0) -> Predictor:
    torch.manual_seed(seed)
    made = PREDICTORS[name](D, E, hidden=16, rank=2).double().eval()  # type: ignore[index]
    with torch.no_grad():
        for p in made.parameters():
            p += 0.3 * torch.randn_like(p)  # biases too, and scales of batch norms
    return made


def displacement(predict: Predictor, y0: Tensor, code: Tensor) -> Tensor:
    """Of each image by each code, beside what the zero code does: `(images, codes, D)`."""
    images, codes = y0.repeat_interleave(len(code), 0), code.repeat(len(y0), 1)
    moved = predict(images, codes) - predict(images, torch.zeros_like(codes))
    return moved.unflatten(0, (len(y0), len(code)))


def inputs(n: int = 5, seed: int = 1) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    y0 = torch.randn(n, D, generator=g, dtype=torch.float64)
    return y0, torch.randn(n, E, generator=g, dtype=torch.float64)


def test_names_and_entries_agree() -> None:
    assert set(get_args(PredictorName)) == set(PREDICTORS) == {"affine", *OF_THE_IMAGE}


def test_the_affine_displacement_is_the_same_for_all_images() -> None:
    moved = displacement(predictor("affine"), *inputs())
    assert moved.abs().max() > 0.1
    torch.testing.assert_close(moved, moved[:1].expand_as(moved), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OF_THE_IMAGE)
def test_other_displacements_depend_on_the_image(name: str) -> None:
    moved = displacement(predictor(name), *inputs())
    spread = moved - moved.mean(dim=0)
    assert (spread.norm(dim=-1).mean(0) > 0.05 * moved.norm(dim=-1).mean(0)).all()
    # and on the code: it is no displacement of the image alone
    assert (moved - moved.mean(dim=1, keepdim=True)).abs().max() > 0.1


@pytest.mark.parametrize("name", OF_THE_IMAGE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_zero_code_displaces_nothing(name: str, dtype: torch.dtype) -> None:
    predict, (y0, code) = predictor(name).to(dtype), inputs()
    y0 = y0.to(dtype)
    assert predict.from_identity
    assert torch.equal(predict(y0, torch.zeros(5, E, dtype=dtype)), y0)
    assert not torch.equal(predict(y0, code.to(dtype)), y0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        single = predict.float()
        assert torch.equal(single(y0.float(), torch.zeros(5, E)), y0.float())


def test_the_low_rank_displacement_is_linear_in_the_image_and_of_that_rank() -> None:
    predict = predictor("low_rank")
    _, code = inputs()
    y0 = torch.cat([torch.zeros(1, D), torch.eye(D)]).double()
    moved = displacement(predict, y0, code)
    matrices = (moved[1:] - moved[:1]).permute(1, 2, 0)  # (codes, D, D): columns are images of axes
    assert torch.linalg.matrix_rank(matrices, rtol=1e-9).tolist() == [2] * len(code)
    mixed = torch.randn(1, D, dtype=torch.float64)
    expected = torch.einsum("cij,j->ci", matrices, mixed[0]) + moved[0]
    torch.testing.assert_close(displacement(predict, mixed, code)[0], expected)


@pytest.mark.parametrize("name", ["residual", "film"])
def test_displacements_that_are_not_linear_in_the_image(name: str) -> None:
    predict, (y0, code) = predictor(name), inputs()
    once, twice = displacement(predict, y0, code), displacement(predict, 2 * y0, code)
    none = displacement(predict, 0 * y0, code)
    assert (twice - 2 * once + none).abs().max() > 1e-2


@pytest.mark.parametrize("name", PREDICTORS)
def test_gradients_reach_embedding_code_and_every_weight(name: str) -> None:
    predict, (y0, code) = predictor(name), inputs()
    y0.requires_grad_(), code.requires_grad_()
    assert torch.autograd.gradcheck(predict, (y0, code))
    predict(y0, code).square().sum().backward()
    assert y0.grad is not None and (y0.grad != 0).any(1).all()
    assert code.grad is not None and (code.grad != 0).any(1).all()
    for key, p in predict.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", PREDICTORS)
def test_fresh_predictors_learn_a_displacement_of_their_kind(name: str) -> None:
    """Of all images alike, which each must be able to say; in the direction, as the loss asks."""
    torch.manual_seed(0)
    predict = PREDICTORS[name](D, E, hidden=16, rank=2)  # type: ignore[index]
    optimizer = torch.optim.Adam(predict.parameters(), lr=1e-2)
    effect, losses = torch.randn(E, D), []
    for _ in range(200):
        y0, code = torch.randn(64, D), torch.randn(64, E)
        loss = 1 - F.cosine_similarity(predict(y0, code), y0 + code @ effect).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.06 < 0.3 < losses[0]


def layout(*names: str) -> Layout:
    """One column a name; `a.x` twice as wide."""
    slots: list[Slot] = []
    for name in names:
        columns = (name,) if name != "a.x" else (f"{name}.0", f"{name}.1")
        start = slots[-1].stop if slots else 0
        slots.append(Slot(*name.split("."), "", "linear", None, None, start, columns, True))
    return Layout("view", tuple(slots))


@pytest.mark.parametrize("name", PREDICTORS)
def test_codes_of_another_layout(name: str) -> None:
    before, after = predictor(name), predictor(name)
    source, target = layout("a.x", "b.y", "b.z"), layout("b.z", "a.x")
    after.read(slot_map(source, target), "it")
    y0, code = inputs()
    code[:, 2] = 0  # b.y, which the other layout lacks
    theirs = before(y0, code)
    torch.testing.assert_close(after(y0, code[:, [3, 0, 1]]), theirs, rtol=0, atol=1e-12)
    assert after.reader.in_features == target.width == after.reader.weight.shape[1]
    after.reader.weight.requires_grad_()
    after(y0, code[:, [3, 0, 1]]).square().sum().backward()
    assert after.reader.weight.grad is not None
    with pytest.raises(LayoutMismatchError, match=r"it: .*\n.*no weights\n- c\.w: only"):
        before.read(slot_map(source, layout("a.x", "c.w")), "it")
