"""The code of a draw in few steps is that of the parameters, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from augspec.kernels.tracing import readable
from augspec.ops import OPS
from augspec.ops.contract import Op
from augspec.ops.sizes import Sizes

B = 600
RAGGED = torch.tensor([[375, 500], [500, 375], [33, 90], [1, 50], [224, 1000]]).repeat(B // 5, 1)
SIZES: tuple[Sizes, ...] = ((32, 32), (90, 331), (331, 90), (1, 1), RAGGED)

NEUTRAL = {"choice": [0, 1, 1.3]}
CORNERS = (
    {"op": "color_jitter", "brightness": NEUTRAL, "contrast": NEUTRAL, "saturation": NEUTRAL},
    {"op": "color_jitter", "contrast": NEUTRAL, "saturation": NEUTRAL, "hue": 0.5},
    {"op": "color_jitter", "brightness": [0, 1e-8], "contrast": [0, 1e-7], "hue": [0.5, 0.5]},
    {"op": "color_jitter", "saturation": NEUTRAL, "hue": {"choice": [-0.5, 0, 0.25, 0.5]}},
    {"op": "color_jitter", "hue": 0.3, "order": ["hue", "saturation", "brightness", "contrast"]},
    {"op": "resized_crop", "area": 1.0, "aspect": [0.1, 0.2]},
    {"op": "resized_crop", "area": [0.9, 1.0], "aspect": [3.0, 4.0]},
    {"op": "resized_crop", "area": [1e-5, 1e-3], "aspect": {"choice": [0.5, 1, 2]}},
    {"op": "resized_crop", "area": {"beta": {"alpha": 2, "beta": 2, "low": 0.1}}, "aspect": 1.0},
)


def uniforms_of(op: Op) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.rand(s.count, B, generator=generator, dtype=torch.float64).t() for s in op.streams()
    ]


def recorded(uniforms: list[Tensor]) -> list[Tensor]:
    """Uniforms that no machine code reads: gradients are recorded for them."""
    found = [u.clone().requires_grad_() for u in uniforms]
    assert not any(readable(u) for u in found)
    return found


def by_tensors(op: Op, uniforms: list[Tensor], size: Sizes) -> Tensor:
    return op.encode_canonical(op.drawn(recorded(uniforms), size)).detach().float()


def assert_one_code(fields: dict[str, Any]) -> None:
    op: Op = OPS[fields["op"]].model_validate(fields)
    uniforms = uniforms_of(op)
    if not uniforms or op.seeds:
        return
    assert all(readable(u) for u in uniforms)
    for size in SIZES:
        code, expected = op.drawn_code(uniforms, size), by_tensors(op, uniforms, size)
        assert code.dtype == torch.float32
        assert code.shape == expected.shape
        assert torch.equal(code, expected), (fields, size)
        assert torch.equal(code.signbit(), expected.signbit()), (fields, size)
        params, general = op.drawn(uniforms, size), op.drawn(recorded(uniforms), size)
        for name, value in general.items():
            assert torch.equal(params[name], value), (name, fields, size)


@pytest.mark.parametrize("tag", sorted(OPS))
def test_every_op(tag: str) -> None:
    gates = ({}, {"p": 0.0}, {"p": 0.37}) if "p" in OPS[tag].model_fields else ({},)
    for fields in ({}, *OPS[tag].examples):
        for gate in gates:
            assert_one_code({"op": tag, **fields, **gate})


@pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("fields", CORNERS, ids=str)
def test_what_is_hidden_and_what_does_not_fit(fields: dict[str, Any], p: float) -> None:
    assert_one_code({**fields, "p": p})


def test_of_no_samples_and_of_one() -> None:
    for tag in ("resized_crop", "color_jitter", "horizontal_flip"):
        op: Op = OPS[tag].model_validate({"op": tag, "p": 0.5})
        uniforms = uniforms_of(op)
        code = op.drawn_code(uniforms, (40, 50))
        for size in ((40, 50), torch.tensor([[40, 50]])):
            one = op.drawn_code([u[3:4] for u in uniforms], size)
            assert torch.equal(one, code[3:4])
        assert op.drawn_code([u[:0] for u in uniforms], (40, 50)).shape == (0, code.shape[1])


def test_large_images() -> None:
    """The logarithm of a side is not decoded and encoded again, which may change no bit."""
    op: Op = OPS["resized_crop"].model_validate({"area": [0.999, 1.0], "aspect": [0.99, 1.01]})
    uniforms, size = uniforms_of(op), (100_000, 99_999)
    assert torch.equal(op.drawn_code(uniforms, size), by_tensors(op, uniforms, size))
