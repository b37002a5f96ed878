"""The laws of the op contract, tested once for every op that the registry finds."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import augspec
from augspec.encoding.codecs import Angle, Order
from augspec.language.codes import Code
from augspec.language.docs import field_docs
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, NotInvertibleError, Op
from augspec.ops.geometry import GeometricOp

B = 8
SIZE = (20, 24)


def every_op() -> list[Op]:
    """Each op by default, and in the ways that its file says reach its corners."""
    found = []
    for tag, cls in OPS.items():
        documents = [{"op": tag, **fields} for fields in cls.examples]
        found += [cls(), *(loads_model(cls, json.dumps(document)) for document in documents)]
    return found


def label(op: Op) -> str:
    return json.dumps(op.model_dump(mode="json", exclude_defaults=True))


ALL = pytest.mark.parametrize("op", every_op(), ids=label)


def uniforms(op: Op, seed: int, batch: int = B) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.rand(batch, stream.count, generator=generator, dtype=torch.float64)
        for stream in op.streams()
    ]


def size_for(op: Op) -> tuple[int, int]:
    """`SIZE`, or a square for an op that refuses it."""
    refused = any(fault.code == Code.IMAGE_SIZE for fault in op.faults(Incoming(SIZE)))
    return (SIZE[0], SIZE[0]) if refused else SIZE


def images(op: Op, seed: int = 0, batch: int = B, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, *size_for(op), generator=generator, dtype=torch.float64).to(dtype)


def identity(op: Op, batch: int = B) -> dict[str, Tensor]:
    return {p.name: torch.full((batch,), p.identity, dtype=torch.float64) for p in op.parameters()}


def decoded(op: Op, code: Tensor, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the code says, with the seeds, which are not part of it, from the draw."""
    return {**op.decode(code), **{name: drawn[name] for name in op.seeds}}


def draw(op: Op, seed: int, batch: int = B) -> dict[str, Tensor]:
    """What a pipeline renders: the decoded float32 code of a draw."""
    if not op.parameters():
        return {}
    raw = op.canonical(op.draw(uniforms(op, seed, batch), size_for(op)))
    return decoded(op, op.encode(raw).float(), raw)


def test_every_op_has_a_tag_of_its_own_file() -> None:
    assert len(OPS) >= 8
    assert set(OPS) >= {"resized_crop", "color_jitter", "gaussian_blur"}
    for tag, cls in OPS.items():
        assert cls.__module__ == f"augspec.ops.{tag}"
        assert cls.__doc__
        assert set(cls.model_fields) - set(field_docs(cls)) <= {"op"}


@ALL
def test_law_1_round_trip(op: Op) -> None:
    plain = op.model_dump(mode="json")
    assert loads_model(type(op), json.dumps(plain)) == op
    # an op that can never act is a mistake in a spec
    if op.gate > 0 and not op.can_act:
        return
    spec = augspec.Spec.model_validate(
        {"version": 1, "name": "t", "views": {"v": {"ops": [plain]}}}
    )
    assert augspec.loads(json.dumps(spec.document())) == spec
    assert hash(spec.views["v"].ops[0]) == hash(op)


@ALL
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_law_2_draws_lie_in_the_declared_range(op: Op, seed: int) -> None:
    params = op.draw(uniforms(op, seed), size_for(op))
    assert set(params) == {p.name for p in op.parameters()}
    for p in op.parameters(size_for(op)):
        assert params[p.name].shape == (B,)
        assert params[p.name].dtype == torch.float64
        assert p.low is not None and p.high is not None
        slack = 0.5 / Angle.GRID if isinstance(p.codec, Angle) else 1e-12
        assert (params[p.name] >= p.low - slack).all(), p
        assert (params[p.name] <= p.high + slack).all(), p


@ALL
def test_law_3_the_gate_gives_identity_parameters_and_bit_equal_pixels(op: Op) -> None:
    if not op.parameters():
        pytest.skip("no parameters: it always acts")
    if isinstance(op, Combinator):
        pytest.skip("a combinator's gates are tested in test_combinators")
    n = 4000
    params = op.draw(uniforms(op, 3, n), size_for(op))
    on = uniforms(op, 3, n)[0][:, 0] < op.gate
    assert abs(on.double().mean().item() - op.gate) < 0.04
    for p in op.parameters():
        assert (params[p.name][~on] == p.identity).all()
    x = images(op, batch=n)[:64]
    first = {name: value[:64] for name, value in params.items()}
    view, off = op.apply(x, first), ~on[:64]
    plain = op.apply(x, identity(op, 64))
    assert torch.equal(view[off], plain[off])
    if view.shape == x.shape:
        assert torch.equal(view[off], x[off])


@ALL
def test_law_4_identity_parameters_change_nothing(op: Op) -> None:
    x = images(op)
    if not op.parameters() or op.output_size(size_for(op)) != size_for(op):
        pytest.skip("changes the size")
    view = op.render(x, identity(op))
    torch.testing.assert_close(view, x, rtol=0, atol=op.identity_error)
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
    raw = op.draw(uniforms(op, seed), size_for(op))
    code = op.encode(raw).float()
    assert code.shape == (B, sum(p.codec.width for p in op.parameters()))
    canonical = op.canonical(raw)
    params = decoded(op, code, canonical)
    again = op.encode(params).float()
    assert torch.equal(again, code)  # a code is a complete record, bit for bit
    for p in op.parameters():
        if isinstance(p.codec, Order):
            continue  # neutral steps may stand anywhere; the precedences are compared above
        apart = (params[p.name] - canonical[p.name]).abs()
        apart = torch.minimum(apart, (apart - 1).abs()) if isinstance(p.codec, Angle) else apart
        assert (apart < 3e-7).all(), (p, apart)
    x = images(op, seed)
    assert torch.equal(op.apply(x, params), op.apply(x, decoded(op, again, canonical)))
    torch.testing.assert_close(op.apply(x, params), op.apply(x, raw), rtol=0, atol=2e-5)


@ALL
def test_law_6_an_inverse_undoes_and_the_forward_did_something(op: Op) -> None:
    x, params = images(op, batch=64), draw(op, 5, 64)
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
    x = (
        images(op, batch=3, dtype=torch.float64)[..., :8, : 9 if size_for(op) == SIZE else 8] * 0.5
        + 0.2
    )
    x.requires_grad_()
    params = draw(op, 11, 3)
    smooth = [p for p in op.parameters() if p.differentiable]
    # Away from special points. On the pixel grid a box snaps to it, and a difference quotient sees
    # a step; and a neutral parameter is not applied at all.
    # A different step for each: equal ones may keep a map's symmetry, and with it pixels that are
    # sampled exactly at the centre of another, where bilinear interpolation has a kink.
    steps = [0.0123 + 0.0017 * k for k in range(len(smooth))]
    leaves = [
        (params[p.name] * 0.9 + step).requires_grad_()
        for p, step in zip(smooth, steps, strict=True)
    ]

    def forward(image: Tensor, *values: Tensor) -> Tensor:
        own = {p.name: value for p, value in zip(smooth, values, strict=True)}
        return op.render(image, {**params, **own})

    if op.not_differentiable is not None:
        assert not smooth, "an op through which no gradient flows has none for its parameters"
        return
    assert torch.autograd.gradcheck(forward, (x, *leaves), fast_mode=True)
    torch.autograd.backward(forward(x, *leaves).square().sum())
    assert x.grad is not None and torch.isfinite(x.grad).all() and (x.grad != 0).any()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves if leaf.grad is not None)


@ALL
def test_law_8_compiles_as_one_graph(op: Op) -> None:
    """A host sync (a data-dependent shape or branch) would break the graph."""
    torch._dynamo.reset()  # ops share the code of `Op.apply`; its cache is not what is tested
    x, params = images(op), draw(op, 2)
    compiled = torch.compile(op.apply, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, params), op.apply(x, params), rtol=0, atol=1e-6)


GEOMETRIC = [op for op in every_op() if isinstance(op, GeometricOp)]


@pytest.mark.parametrize("op", GEOMETRIC, ids=label)
def test_the_matrix_says_where_points_go(op: GeometricOp) -> None:
    """Sampling a smooth image through the matrix gives the kernel's view."""
    height, width = size = size_for(op)
    y = torch.linspace(0, 1, height)[:, None] * 2
    x = torch.linspace(0, 1, width)[None] * 3
    smooth = torch.stack([0.5 + 0.3 * (y + x).sin(), 0.5 + 0.3 * (y - x).cos(), y * x / 6])
    smooth = smooth.expand(B, 3, height, width).contiguous()
    params = draw(op, 7)
    view = op.apply(smooth, params)
    # near the edges of the box the kernel, rightly, does not look beyond them
    middle = torch.nn.functional.affine_grid(
        torch.eye(3)[:2].expand(B, 2, 3), list(view.shape), align_corners=False
    )
    points = torch.cat([middle, torch.ones_like(middle[..., :1])], dim=-1).double().flatten(1, 2)
    source = points @ torch.linalg.inv(op.matrix(params, size, batch=B)).mT
    grid = (source[..., :2] / source[..., 2:]).float().reshape(middle.shape)
    warped = torch.nn.functional.grid_sample(smooth, grid, align_corners=False)
    inside = ((grid.abs() < 0.85) & (middle.abs() < 0.8)).all(dim=-1)
    apart = (warped - view).abs().amax(dim=1)
    assert inside.any()
    # half a pixel of the steepest channel
    nearest = getattr(op, "interpolation", None) == "nearest"
    assert apart[inside].max() < (0.06 if nearest else 0.03)
