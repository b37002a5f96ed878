"""The colour ops, from the drawn code to the pixels, against torchvision v2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional as F

import augspec
from augspec.encoding.codecs import Angle
from augspec.language.diagnostics import SpecError
from augspec.language.document import loads_model
from augspec.language.values import Uniform
from augspec.ops import OPS
from augspec.ops.contract import Op

B, SIZE = 24, (36, 44)
DOUBLE = torch.float64

REFERENCE: dict[str, tuple[Callable[[Tensor, dict[str, float]], Tensor], float]] = {
    "brightness": (lambda x, p: F.adjust_brightness(x, p["factor"]), 1e-6),
    "contrast": (lambda x, p: F.adjust_contrast(x, p["factor"]), 1e-5),
    "saturation": (lambda x, p: F.adjust_saturation(x, p["factor"]), 1e-5),
    "hue": (lambda x, p: F.adjust_hue(x, p["shift"]), 1e-5),
    "gamma": (lambda x, p: F.adjust_gamma(x, p["gamma"]), 1e-6),
    "sharpness": (lambda x, p: F.adjust_sharpness(x, p["factor"]), 2e-6),
    "posterize": (lambda x, p: F.posterize(x, int(p["bits"])), 0.0),
    "equalize": (lambda x, p: F.equalize(x), 0.0),
    "autocontrast": (lambda x, p: F.autocontrast(x), 0.0),
    "invert": (lambda x, p: F.invert(x), 0.0),
}
"""What torchvision makes of an image with one sample's parameters, and the tolerance."""

STRONG: dict[str, dict[str, Any]] = {
    "brightness": {"factor": 1.0},
    "contrast": {"factor": 1.0},
    "saturation": {"factor": 1.0},
    "hue": {"shift": 0.5},
    "gamma": {"gamma": [0.2, 4.0]},
    "sharpness": {"factor": [0.0, 5.0]},
    "posterize": {"bits": [0, 8]},
}
TAGS = pytest.mark.parametrize("tag", REFERENCE)


@pytest.fixture(scope="module")
def images(photos: list[Path]) -> Tensor:
    """`(24, 3, 36, 44)`: photographs, noise, and a black and a gray image."""
    crops = [
        F.center_crop(decode_image(str(p), ImageReadMode.RGB), list(SIZE)) for p in photos[:18]
    ]
    noise = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    plain = torch.tensor([0.0, 0.4]).reshape(2, 1, 1, 1).expand(2, 3, *SIZE)
    return torch.cat([torch.stack(crops) / 255, noise, plain])


def make(tag: str, **fields: Any) -> Op:
    return loads_model(OPS[tag], json.dumps({"op": tag, **fields}))


def draw(op: Op, seed: int, batch: int = B) -> dict[str, Tensor]:
    """What a pipeline renders: the decoded float32 code of a draw."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(batch, 1 + op.draws, generator=generator, dtype=DOUBLE)
    return op.decode(op.encode(op.draw([u], SIZE)).float())


@TAGS
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strong", [False, True])
def test_pixels_are_torchvisions(images: Tensor, tag: str, channels: int, strong: bool) -> None:
    op = make(tag, p=0.8, **(STRONG.get(tag, {}) if strong else {}))
    reference, tolerance = REFERENCE[tag]
    x, changed = images[:, :channels], 0
    for seed in range(4):
        params = draw(op, seed)
        active, ours = op.active(params), op.apply(x, params)
        assert 0 < active.sum() < B
        for i in range(B):
            one = {name: value[i].item() for name, value in params.items()}
            # what the gate leaves out, torchvision's RandomApply does not call
            theirs = reference(x[i], one) if active[i] else x[i]
            torch.testing.assert_close(ours[i], theirs, rtol=0, atol=tolerance)
        changed += int((ours != x).flatten(1).any(dim=1).sum())
    assert (changed > 2 * B) == (not op.needs_colour or channels == 3)


@TAGS
def test_the_default_does_something_to_a_photograph(images: Tensor, tag: str) -> None:
    view = OPS[tag]().apply(images, draw(OPS[tag](), 0))
    apart = (view - images)[:18].abs().flatten(1).mean(dim=1)
    assert apart.median() > 1e-3
    assert view.min() >= 0 and view.max() <= 1


@pytest.mark.parametrize("tag", ["brightness", "contrast", "saturation"])
def test_a_step_of_color_jitter_gives_the_same_pixels_and_column(images: Tensor, tag: str) -> None:
    op, jitter = make(tag, factor=0.8), make("color_jitter", **{tag: 0.8})
    params = draw(op, 1)
    one, zero = torch.ones(B, dtype=DOUBLE), torch.zeros(B, dtype=DOUBLE)
    neutral = {"brightness": one, "contrast": one, "saturation": one, "hue": zero, "order": zero}
    theirs = {**neutral, tag: params["factor"]}
    assert torch.equal(op.apply(images, params), jitter.apply(images, theirs))
    column = ["brightness", "contrast", "saturation"].index(tag)
    assert torch.equal(op.encode(params)[:, 0], jitter.encode(theirs)[:, column])


def test_hue_as_a_step_of_color_jitter(images: Tensor) -> None:
    op, jitter = make("hue", shift=0.5), make("color_jitter", hue=0.5)
    params = draw(op, 1)
    one, zero = torch.ones(B, dtype=DOUBLE), torch.zeros(B, dtype=DOUBLE)
    theirs = {"brightness": one, "contrast": one, "saturation": one, "order": zero}
    theirs["hue"] = params["shift"]
    assert torch.equal(op.apply(images, params), jitter.apply(images, theirs))
    assert torch.equal(op.encode(params), jitter.encode(theirs)[:, 3:5])


def test_the_half_turns_are_one_code_and_whole_turns_are_none(images: Tensor) -> None:
    op = make("hue", shift=0.5)
    shift = torch.tensor([-0.5, 0.5, 1.5, 0.0, 1.0, -2.0], dtype=DOUBLE)
    code = op.encode({"shift": shift})
    assert (code[:3] == code[0]).all() and (code[0] != 0).any()
    assert (code[3:] == 0).all()
    assert op.active({"shift": shift}).tolist() == [True] * 3 + [False] * 3
    view = op.apply(images[:6], {"shift": shift})
    assert torch.equal(view[3:], images[3:6])


def test_a_drawn_shift_is_on_the_grid_of_its_code() -> None:
    op = make("hue", shift=0.3)
    shift = op.draw([torch.rand(99, 2, dtype=DOUBLE)], SIZE)["shift"] * Angle.GRID
    assert torch.equal(shift, shift.round())
    assert shift.unique().numel() > 90


def test_gamma_is_undone_by_its_root(images: Tensor) -> None:
    op = make("gamma", gamma=[0.4, 2.5])
    params = draw(op, 2)
    back = op.apply(op.apply(images, params), op.inverse(params))
    torch.testing.assert_close(back, images, rtol=0, atol=1e-6)


def test_gamma_on_black_images_has_finite_gradients() -> None:
    op, x = make("gamma", gamma=[0.3, 3.0], p=0.7), torch.zeros(B, 3, 4, 4, requires_grad=True)
    params = {"gamma": draw(op, 3)["gamma"].requires_grad_()}
    op.apply(x, params).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
    assert params["gamma"].grad is not None and torch.isfinite(params["gamma"].grad).all()


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ([2, 5], {2: 1 / 4, 3: 1 / 4, 4: 1 / 4, 5: 1 / 4}),
        ([0, 8], dict.fromkeys(range(9), 1 / 9)),
        ([6, 6], {6: 1.0}),
        (3, {3: 1.0}),
        ({"choice": [1, 8], "weights": [1, 3]}, {1: 1 / 4, 8: 3 / 4}),
        # log_uniform [1, 4], rounded: the ends hold half a number each
        ({"log_uniform": [1, 4]}, {1: 0.2925, 2: 0.3685, 3: 0.2427, 4: 0.0963}),
    ],
)
def test_bits_are_whole_and_those_of_a_pair_equally_likely(
    bits: Any, expected: dict[int, float]
) -> None:
    n = 40_000
    u = (torch.arange(n, dtype=DOUBLE) + 0.5) / n
    drawn = make("posterize", bits=bits).sample(u[:, None], SIZE)["bits"]
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == sorted(expected)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        assert abs(count / n - expected[int(value)]) < 2e-3


def test_no_draw_of_bits_leaves_the_pair() -> None:
    ends = torch.tensor([[1e-300], [1 - 2**-53]], dtype=DOUBLE)
    assert make("posterize", bits=[0, 8]).sample(ends, SIZE)["bits"].tolist() == [0.0, 8.0]


@pytest.mark.parametrize(
    "bits", [2.5, [2, 4.5], [1.5, 3], {"choice": [1, 2.5]}, {"log_uniform": [0.5, 4]}, [0, 9], -1]
)
def test_bits_that_are_not_whole_or_out_of_range_are_refused(bits: Any) -> None:
    with pytest.raises(SpecError, match=r"whole number|must lie in \[0, 8\]") as caught:
        make("posterize", bits=bits)
    assert "bits" in str(caught.value)


def test_an_unused_number_of_bits_is_not_coded_and_zero_bits_are_not_off() -> None:
    op = make("posterize", bits=[0, 8], p=0.5)
    on = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0], dtype=DOUBLE)
    bits = torch.tensor([0.0, 5.0, 0.0, 5.0, 5.2], dtype=DOUBLE)
    code = op.encode({"on": on, "bits": bits})
    assert code.tolist() == [[0, 0], [0, 0], [1, 0], [1, 5], [1, 5]]
    view = op.apply(torch.full((5, 1, 2, 2), 0.9), op.decode(code))
    assert torch.equal(view[:2], torch.full((2, 1, 2, 2), 0.9)) and (view[2] == 0).all()
    assert (view[3:] == 28 / 32).all()


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        ("brightness", "factor"),
        ("contrast", "factor"),
        ("saturation", "factor"),
        ("sharpness", "factor"),
        ("gamma", "gamma"),
        ("hue", "shift"),
    ],
)
def test_the_declared_range_holds_the_identity_exactly_where_the_gate_needs_it(
    tag: str, field: str
) -> None:
    away = [0.2, 0.4] if tag == "hue" else [1.5, 2.0]
    identity = 0.0 if tag == "hue" else 1.0
    for p, expected in ((1.0, away), (0.5, [identity, away[1]]), (0.0, [identity, identity])):
        (parameter,) = make(tag, p=p, **{field: away}).parameters()
        assert [parameter.low, parameter.high] == expected
        assert parameter.identity == identity


@pytest.mark.parametrize("tag", ["brightness", "contrast", "saturation", "sharpness"])
def test_a_single_factor_is_a_spread(tag: str) -> None:
    assert make(tag, factor=0.4).factor == Uniform(0.6, 1.4)  # type: ignore[attr-defined]
    assert make(tag, factor=1.8).factor == Uniform(0.0, 2.8)  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match=r"must lie in \[0, inf\)"):
        make(tag, factor=[-0.1, 1.0])


@pytest.mark.parametrize(
    ("tag", "fields", "message"),
    [
        ("hue", {"shift": 0.6}, "<= 0.5"),
        ("hue", {"shift": [-0.6, 0.1]}, r"must lie in \[-0.5, 0.5\]"),
        ("gamma", {"gamma": 0}, r"must lie in \(0, inf\)"),
        ("gamma", {"gamma": [0, 1]}, r"must lie in \(0, inf\)"),
    ],
)
def test_draws_out_of_bounds_are_refused(tag: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make(tag, **fields)


def spec_of(op: dict[str, Any], image: dict[str, Any]) -> augspec.Spec:
    document = {"version": 1, "name": "t", "image": image, "views": {"v": {"ops": [op]}}}
    return augspec.loads(json.dumps(document))


@TAGS
def test_one_channel_is_refused_where_colour_is_needed(tag: str) -> None:
    if tag not in ("saturation", "hue"):
        assert spec_of({"op": tag}, {"channels": 1}).views
        return
    with pytest.raises(SpecError, match=f"{tag} needs colour"):
        spec_of({"op": tag}, {"channels": 1})


def test_sharpness_needs_three_pixels_a_side() -> None:
    assert spec_of({"op": "sharpness"}, {"size": 3}).views
    with pytest.raises(SpecError, match="at least 3 pixels a side, got 2x2"):
        spec_of({"op": "sharpness"}, {"size": 2})


@TAGS
def test_a_neutral_op_is_a_mistake_but_one_that_is_gated_off_keeps_its_columns(tag: str) -> None:
    field = {"hue": "shift", "gamma": "gamma"}.get(tag, "factor")
    neutral: dict[str, Any] = {field: [0, 0] if tag == "hue" else [1, 1]}
    switched = tag in ("posterize", "equalize", "autocontrast", "invert")
    if not switched:
        with pytest.raises(SpecError, match="can never act"):
            spec_of({"op": tag, **neutral}, {})
    off = make(tag, p=0.0, **({} if switched else neutral))
    params = draw(off, 0)
    assert not off.active(params).any()
    assert (off.encode(params) == 0).all()
