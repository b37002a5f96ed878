"""The laws of the op contract, tested once for every op that the registry finds."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import augspec
from augspec.encoding.codecs import Angle
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.contract import GeometricOp, NotInvertibleError, Op

B = 8
SIZE = (20, 24)

# Ways to write each op that reach its corners; the default construction is always added.
VARIANTS: dict[str, list[dict]] = {
    "resize": [{"size": 12}, {"size": [20, 24], "interpolation": "bicubic"}, {"size": [9, 31]}],
    "center_crop": [{"size": 16}, {"size": [30, 10]}],
    "resized_crop": [
        {"size": [20, 24], "interpolation": "bicubic", "p": 0.5},
        {"size": 16, "area": [0.2, 1.0], "aspect": {"log_uniform": [0.75, 1.3333]}},
        {"size": 16, "area": 0.9, "aspect": [3.0, 4.0], "antialias": False},
        {"size": [20, 24], "p": 0.5, "antialias": False, "interpolation": "bicubic"},
    ],
    "horizontal_flip": [{"p": 0.5}, {"p": 0.0}],
    "color_jitter": [
        {"p": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1},
        {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5, "p": 0.5},
        {"brightness": {"choice": [0, 1]}, "contrast": {"choice": [0, 1, 2]}, "hue": 0.5},
        {"saturation": {"choice": [0, 1]}, "hue": {"choice": [-0.5, 0, 0.5]}},
        {"hue": 0.2, "order": ["hue", "brightness", "saturation", "contrast"]},
    ],
    "grayscale": [{"p": 0.2}],
    "gaussian_blur": [{"kernel": 5, "sigma": [0.1, 2.0], "p": 0.5}, {"sigma": 0.7}],
    "solarize": [{"p": 0.2, "threshold": 0.50196}, {"threshold": [0.2, 0.9], "p": 0.5}],
}


def every_op() -> list[Op]:
    found = []
    for tag, cls in OPS.items():
        documents = [{"op": tag, **fields} for fields in VARIANTS.get(tag, [])]
        found += [cls(), *(loads_model(cls, json.dumps(document)) for document in documents)]
    return found


def label(op: Op) -> str:
    return json.dumps(op.model_dump(mode="json", exclude_defaults=True, exclude={"op"})) + op.tag()


ALL = pytest.mark.parametrize("op", every_op(), ids=label)


def uniforms(op: Op, seed: int, batch: int = B) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1 + op.draws, generator=generator, dtype=torch.float64)


def images(seed: int = 0, batch: int = B, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, *SIZE, generator=generator, dtype=torch.float64).to(dtype)


def identity(op: Op, batch: int = B) -> dict[str, Tensor]:
    return {p.name: torch.full((batch,), p.identity, dtype=torch.float64) for p in op.parameters()}


def draw(op: Op, seed: int, batch: int = B) -> dict[str, Tensor]:
    """What a pipeline renders: the decoded float32 code of a draw."""
    if not op.parameters():
        return {}
    return op.decode(op.encode(op.draw(uniforms(op, seed, batch), SIZE)).float())


def test_every_op_has_a_tag_of_its_own_file() -> None:
    assert len(OPS) >= 8
    for tag, cls in OPS.items():
        assert cls.__module__ == f"augspec.ops.{tag}"
        assert cls.__doc__
        assert all(field.description for name, field in cls.model_fields.items() if name != "op")


@ALL
def test_law_1_round_trip(op: Op) -> None:
    plain = op.model_dump(mode="json")
    assert loads_model(type(op), json.dumps(plain)) == op
    spec = augspec.Spec.model_validate(
        {"version": 1, "name": "t", "views": {"v": {"ops": [plain]}}}
    )
    assert augspec.loads(json.dumps(spec.document())) == spec
    assert hash(spec.views["v"].ops[0]) == hash(op)


@ALL
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_law_2_draws_lie_in_the_declared_range(op: Op, seed: int) -> None:
    params = op.draw(uniforms(op, seed), SIZE)
    assert set(params) == {p.name for p in op.parameters()}
    for p in op.parameters(SIZE):
        assert params[p.name].shape == (B,)
        assert params[p.name].dtype == torch.float64
        assert p.low is not None and p.high is not None
        slack = 0.5 / Angle.GRID if p.unit == "turn" else 1e-12
        assert (params[p.name] >= p.low - slack).all(), p
        assert (params[p.name] <= p.high + slack).all(), p


@ALL
def test_law_3_the_gate_gives_identity_parameters_and_bit_equal_pixels(op: Op) -> None:
    if not op.parameters():
        pytest.skip("no parameters: it always acts")
    n = 4000
    params = op.draw(uniforms(op, 3, n), SIZE)
    on = uniforms(op, 3, n)[:, 0] < op.gate
    assert abs(on.double().mean().item() - op.gate) < 0.04
    for p in op.parameters():
        assert (params[p.name][~on] == p.identity).all()
    x = images(batch=n)[:64]
    first = {name: value[:64] for name, value in params.items()}
    view, off = op.apply(x, first), ~on[:64]
    plain = op.apply(x, identity(op, 64))
    assert torch.equal(view[off], plain[off])
    if view.shape == x.shape:
        assert torch.equal(view[off], x[off])


@ALL
def test_law_4_identity_parameters_change_nothing(op: Op) -> None:
    x = images()
    if not op.parameters() or op.output_size(SIZE) != SIZE:
        pytest.skip("changes the size")
    view = op.render(x, identity(op))
    torch.testing.assert_close(view, x, rtol=0, atol=1e-6 if op.tag() == "color_jitter" else 0)
    assert torch.equal(op.apply(x, identity(op)), x)
    code = op.encode(identity(op))
    assert torch.equal(code, torch.zeros_like(code))
    decoded = op.decode(torch.zeros_like(code))
    assert all(torch.equal(decoded[name], value) for name, value in identity(op).items())


@ALL
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_law_5_codes_decode_to_what_was_applied(op: Op, seed: int) -> None:
    if not op.parameters():
        return
    raw = op.draw(uniforms(op, seed), SIZE)
    code = op.encode(raw).float()
    assert code.shape == (B, sum(p.codec.width for p in op.parameters()))
    params = op.decode(code)
    again = op.encode(params).float()
    assert torch.equal(again, code)  # a code is a complete record, bit for bit
    canonical = op.canonical(raw)
    for p in op.parameters():
        if (
            p.name == "order"
        ):  # neutral steps may stand anywhere; the precedences are compared above
            continue
        apart = (params[p.name] - canonical[p.name]).abs()
        apart = torch.minimum(apart, (apart - 1).abs()) if p.unit == "turn" else apart
        assert (apart < 3e-7).all(), (p, apart)
    x = images(seed)
    assert torch.equal(op.apply(x, params), op.apply(x, op.decode(again)))
    torch.testing.assert_close(op.apply(x, params), op.apply(x, raw), rtol=0, atol=2e-5)


@ALL
def test_law_6_an_inverse_undoes_and_the_forward_did_something(op: Op) -> None:
    x, params = images(batch=64), draw(op, 5, 64)
    if op.not_invertible is not None:
        with pytest.raises(NotInvertibleError, match=op.tag()):
            op.inverse(params)
        return
    view = op.apply(x, params)
    torch.testing.assert_close(op.apply(view, op.inverse(params)), x, rtol=0, atol=1e-6)
    changed = (view != x).flatten(1).any(dim=1)
    assert torch.equal(changed, op.active(params))
    assert changed.any() == (op.gate > 0)


@ALL
def test_law_7_gradients_reach_the_image_and_the_differentiable_parameters(op: Op) -> None:
    x = images(batch=3, dtype=torch.float64)[..., :8, :9] * 0.5 + 0.2
    x.requires_grad_()
    params = draw(op, 11, 3)
    smooth = [p for p in op.parameters() if p.differentiable]
    # Away from special points. On the pixel grid a box snaps to it, and a difference quotient sees
    # a step; and a neutral parameter is not applied at all.
    leaves = [(params[p.name] * 0.9 + 0.0123).requires_grad_() for p in smooth]

    def forward(image: Tensor, *values: Tensor) -> Tensor:
        own = {p.name: value for p, value in zip(smooth, values, strict=True)}
        return op.render(image, {**params, **own})

    assert torch.autograd.gradcheck(forward, (x, *leaves), fast_mode=True)
    torch.autograd.backward(forward(x, *leaves).square().sum())
    assert x.grad is not None and torch.isfinite(x.grad).all() and (x.grad != 0).any()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves if leaf.grad is not None)


@ALL
def test_law_8_compiles_as_one_graph(op: Op) -> None:
    """A host sync (a data-dependent shape or branch) would break the graph."""
    torch._dynamo.reset()  # ops share the code of `Op.apply`; its cache is not what is tested
    x, params = images(), draw(op, 2)
    compiled = torch.compile(op.apply, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, params), op.apply(x, params), rtol=0, atol=1e-6)


GEOMETRIC = [op for op in every_op() if isinstance(op, GeometricOp)]


@pytest.mark.parametrize("op", GEOMETRIC, ids=label)
def test_the_matrix_says_where_points_go(op: GeometricOp) -> None:
    """Sampling a smooth image through the matrix gives the kernel's view."""
    height, width = SIZE
    y = torch.linspace(0, 1, height)[:, None] * 2
    x = torch.linspace(0, 1, width)[None] * 3
    smooth = torch.stack([0.5 + 0.3 * (y + x).sin(), 0.5 + 0.3 * (y - x).cos(), y * x / 6])
    smooth = smooth.expand(B, 3, height, width).contiguous()
    params = draw(op, 7)
    view = op.apply(smooth, params)
    inverse = torch.linalg.inv(op.matrix(params, SIZE, batch=B)).float()
    grid = torch.nn.functional.affine_grid(inverse[:, :2], list(view.shape), align_corners=False)
    warped = torch.nn.functional.grid_sample(smooth, grid, align_corners=False)
    # near the edges of the box the kernel, rightly, does not look beyond them
    middle = torch.nn.functional.affine_grid(
        torch.eye(3)[:2].expand(B, 2, 3), list(view.shape), align_corners=False
    )
    inside = ((grid.abs() < 0.85) & (middle.abs() < 0.8)).all(dim=-1)
    apart = (warped - view).abs().amax(dim=1)
    assert inside.any()
    assert apart[inside].max() < 0.03
