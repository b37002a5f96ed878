"""Ops that move pixels, sample by sample against torchvision v2's functions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as F
from scipy import stats
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2

from augspec.language.codes import Code
from augspec.ops.affine import Affine
from augspec.ops.contract import Incoming, Op
from augspec.ops.geometry import WarpOp
from augspec.ops.horizontal_flip import HorizontalFlip
from augspec.ops.perspective import CORNERS, Perspective
from augspec.ops.rotate import Rotate
from augspec.ops.rotate90 import Rotate90
from augspec.ops.scale import Scale
from augspec.ops.shear import Shear
from augspec.ops.translate import Translate
from augspec.ops.vertical_flip import VerticalFlip

B = 24
SIZES = [(32, 32), (33, 33), (48, 71), (224, 160)]
WIDE = {"degrees": [-180, 180], "translate_x": [-0.4, 0.4], "translate_y": [-0.4, 0.4]}
WIDE |= {"scale": [0.5, 2], "shear_x": [-45, 45], "shear_y": [-45, 45]}
WARPS: list[dict[str, Any]] = [
    {"op": "rotate", "degrees": [-180, 180]},
    {"op": "affine", **WIDE},
    {"op": "affine"},
    {"op": "translate", "x": [-0.6, 0.6], "y": [-0.6, 0.6]},
    {"op": "shear", "x": [-60, 60], "y": [-60, 60]},
    {"op": "scale", "factor": [0.3, 3]},
    {"op": "perspective", "distortion": 0.5},
    {"op": "perspective", "distortion": 0.9},
]
CLASSES = (Rotate, Affine, Translate, Shear, Scale, Perspective)
BY_TAG = {cls.tag(): cls for cls in CLASSES}


def warp_op(document: dict[str, Any], **fields: Any) -> WarpOp:
    return BY_TAG[document["op"]].model_validate({**document, **fields})


def draw(op: Op, size: tuple[int, int], seed: int = 0, batch: int = B) -> dict[str, Tensor]:
    """What a pipeline renders: the decoded float32 code of a draw."""
    (stream,) = op.streams()
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(batch, stream.count, generator=generator, dtype=torch.float64)
    return op.decode(op.encode(op.draw([u], size)).float())


def noise(size: tuple[int, int], batch: int = B, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(seed))


def smooth(size: tuple[int, int], batch: int = B) -> Tensor:
    """Images without detail: a few waves."""
    y = torch.linspace(0, 6, size[0])[:, None]
    x = torch.linspace(0, 7, size[1])[None]
    phase = torch.linspace(0, 3, batch)[:, None, None]
    waves = [(y + x + phase).sin(), (y - x + phase).cos(), (y * x / 6 + phase).sin()]
    return 0.5 + 0.4 * torch.stack(waves, dim=1)


def affine(x: Tensor, mode: InterpolationMode, fill: float, **parts: Any) -> Tensor:
    """`F.affine` with the given parts, and the identity for the others."""
    neutral: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return F.affine(x, **{**neutral, **parts}, interpolation=mode, fill=fill)


def degrees(tangent: float) -> float:
    return math.degrees(math.atan(tangent))


def torchvision(op: WarpOp, x: Tensor, p: dict[str, float]) -> Tensor:
    """What torchvision makes of one image `(C, H, W)`."""
    height, width = x.shape[-2:]
    mode, fill = InterpolationMode(op.interpolation), op.fill
    if op.tag() == "rotate":
        return F.rotate(x, p["angle"] * 360, interpolation=mode, fill=fill)
    if op.tag() == "translate":
        return affine(x, mode, fill, translate=[p["x"] * width, p["y"] * height])
    if op.tag() == "shear":
        return affine(x, mode, fill, shear=[degrees(p["x"]), degrees(p["y"])])
    if op.tag() == "scale":
        return affine(x, mode, fill, scale=p["factor"])
    if op.tag() == "affine":
        shift = [p["translate_x"] * width, p["translate_y"] * height]
        shear = [degrees(p["shear_x"]), degrees(p["shear_y"])]
        angle = p["angle"] * 360
        return affine(x, mode, fill, angle=angle, translate=shift, scale=p["scale"], shear=shear)
    assert op.tag() == "perspective"
    starts = [[0, 0], [width, 0], [width, height], [0, height]]
    ends = []
    for (x0, y0), corner in zip(starts, CORNERS, strict=True):
        dx, dy = p[f"{corner}_x"] * width, p[f"{corner}_y"] * height
        ends.append([x0 + dx if x0 == 0 else x0 - dx, y0 + dy if y0 == 0 else y0 - dy])
    if x.dtype == torch.float64:
        # from `starts` and `ends` torchvision makes float32 coefficients
        exact = coefficients_of(starts, ends)
        return F.perspective(x, None, None, mode, fill, coefficients=exact)
    return F.perspective(x, starts, ends, interpolation=mode, fill=fill)


def coefficients_of(starts: list[list[float]], ends: list[list[float]]) -> list[float]:
    """torchvision's coefficients, in float64: they take the ends back to the starts."""
    rows, values = [], []
    for (x0, y0), (x1, y1) in zip(starts, ends, strict=True):
        rows.append([x1, y1, 1, 0, 0, 0, -x0 * x1, -x0 * y1])
        rows.append([0, 0, 0, x1, y1, 1, -y0 * x1, -y0 * y1])
        values += [x0, y0]
    system = torch.tensor(rows, dtype=torch.float64)
    return torch.linalg.solve(system, torch.tensor(values, dtype=torch.float64)).tolist()


def reference(op: WarpOp, x: Tensor, params: dict[str, Tensor]) -> Tensor:
    rows = [{name: value[k].item() for name, value in params.items()} for k in range(len(x))]
    return torch.stack([torchvision(op, image, p) for image, p in zip(x, rows, strict=True)])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("fill", [0.0, 0.5])
@pytest.mark.parametrize("document", WARPS, ids=str)
def test_bilinear_warps_are_torchvisions(document, fill, size) -> None:
    op, batch = warp_op(document, fill=fill), 6 if max(size) > 100 else B
    params = draw(op, size, batch=batch)
    # on large images, torchvision's float32 homographies are that far from its float64 ones
    tolerance = 2e-4 if op.tag() == "perspective" and max(size) > 100 else 1e-4
    for x in (noise(size, batch), smooth(size, batch)):
        mine = op.apply(x, params)
        assert (mine != x).any()
        torch.testing.assert_close(mine, reference(op, x, params), rtol=0, atol=tolerance)
        x = x.double()
        torch.testing.assert_close(op.apply(x, params), reference(op, x, params), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
@pytest.mark.parametrize("fill", [0.0, 0.5])
@pytest.mark.parametrize("document", WARPS, ids=str)
def test_nearest_warps_are_torchvisions(document, fill, size) -> None:
    op = warp_op(document, fill=fill, interpolation="nearest")
    params, x = draw(op, size), noise(size)
    mine, theirs = op.apply(x, params), reference(op, x, params)
    # places on the border of two pixels may go either way
    assert (mine != theirs).any(dim=1).float().mean() < 2e-3


@pytest.mark.parametrize("document", WARPS, ids=str)
def test_photographs_warp_as_torchvisions(document, photos: list[Path]) -> None:
    op = warp_op(document, fill=0.5)
    for k, path in enumerate(photos[:3]):
        image = decode_image(str(path), ImageReadMode.RGB)[:, :300, :400].float() / 255
        x = image.expand(2, *image.shape)
        params = draw(op, (x.shape[-2], x.shape[-1]), seed=k, batch=2)
        torch.testing.assert_close(op.apply(x, params), reference(op, x, params), rtol=0, atol=1e-4)


@pytest.mark.parametrize("angle", [-180.0, -90.0, 90.0, 180.0])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns_of_a_square_only_permute_pixels(angle: float, interpolation: str) -> None:
    op = Rotate.model_validate({"degrees": angle, "interpolation": interpolation})
    for side in (8, 31, 224):
        x = noise((side, side), 2)
        turned = x.rot90(round(angle / 90), (-2, -1))
        mine = op.apply(x, draw(op, (side, side), batch=2))
        torch.testing.assert_close(
            mine, turned, rtol=0, atol=0 if interpolation == "nearest" else 5e-5
        )


def test_one_part_of_an_affine_is_the_op_of_that_part() -> None:
    size = (40, 56)
    x = noise(size)
    pairs: list[tuple[WarpOp, dict[str, str]]] = [
        (Translate.model_validate({"x": [-0.3, 0.3]}), {"x": "translate_x", "y": "translate_y"}),
        (Shear.model_validate({"y": [-20, 20]}), {"x": "shear_x", "y": "shear_y"}),
        (Scale(), {"factor": "scale"}),
    ]
    whole = Affine()
    for op, names in pairs:
        params = draw(op, size)
        neutral = {p.name: torch.full((B,), p.identity).double() for p in whole.parameters()}
        renamed = {**neutral, **{names[name]: value for name, value in params.items()}}
        assert torch.equal(op.apply(x, params), whole.apply(x, renamed))
    # the two signs of torchvision's functions
    params = draw(Rotate(), size)
    turned = whole.apply(x, {**neutral, "angle": -params["angle"]})
    assert torch.equal(Rotate().apply(x, params), turned)


@pytest.mark.parametrize(
    ("op", "theirs"),
    [(HorizontalFlip(p=0.5), F.horizontal_flip), (VerticalFlip(p=0.5), F.vertical_flip)],
)
def test_a_flip_is_torchvisions_on_the_chosen_samples_only(op, theirs) -> None:
    x, params = noise((20, 31)), draw(op, (20, 31))
    flipped, view = params["flip"] == 1, op.apply(x, params)
    assert 0 < flipped.sum() < B
    assert torch.equal(view[flipped], theirs(x)[flipped])
    assert torch.equal(view[~flipped], x[~flipped])
    assert torch.equal(op.apply(view, params), x)


@pytest.mark.parametrize("side", [7, 32])
def test_rotate90_is_rot90_and_rotates_as_torchvision(side: int) -> None:
    x, op = noise((side, side)), Rotate90()
    params = draw(op, (side, side))
    mine = op.apply(x, params)
    quarters = (params["angle"] * 4).round().int().tolist()
    assert {k % 4 for k in quarters} == {0, 1, 2, 3}
    for image, view, k in zip(x, mine, quarters, strict=True):
        assert torch.equal(view, image.rot90(k, (-2, -1)))
        assert torch.equal(view, F.rotate(image, 90.0 * k))
    assert torch.equal(op.apply(mine, op.inverse(params)), x)


def test_rotate90_draws_its_quarters_alike() -> None:
    params = draw(Rotate90(), (8, 8), batch=8000)
    counts = torch.bincount((params["angle"] * 4).round().long() % 4, minlength=4)
    assert stats.chisquare(counts).pvalue > 1e-3
    half = draw(Rotate90(quarters=(0, 2)), (8, 9), batch=4000)["angle"]
    assert set(half.tolist()) == {0.0, 0.5}


def test_rotate90_refuses_quarter_turns_of_other_images() -> None:
    (found,) = Rotate90().faults(Incoming((20, 24)))
    assert (found.code, found.path) == (Code.IMAGE_SIZE, ("quarters",))
    assert "20x24" in found.message
    assert not Rotate90().faults(Incoming(None))
    assert not Rotate90().faults(Incoming((20, 20)))
    assert not Rotate90(quarters=(0, 2)).faults(Incoming((20, 24)))
    x = noise((20, 24))
    with pytest.raises(ValueError, match=r"square.*20x24"):
        Rotate90().render(x, {"angle": torch.zeros(B).double()})
    turned = Rotate90(quarters=(0, 2)).apply(x, {"angle": torch.full((B,), 0.5).double()})
    assert torch.equal(turned, x.rot90(2, (-2, -1)))


@pytest.mark.parametrize(
    ("cls", "fields", "words"),
    [
        (Rotate90, {"quarters": [1, 1]}, "different"),
        (Rotate90, {"quarters": []}, "at least 1"),
        (Rotate90, {"quarters": [4]}, "0, 1, 2 or 3"),
        (Rotate, {"degrees": [-200, 10]}, r"\[-180, 180\]"),
        (Shear, {"x": [0, 90]}, r"\(-90, 90\)"),
        (Affine, {"shear_y": -90}, r"\(-90"),
        (Affine, {"shear_x": 90}, r"\(-90, 90\)"),
        (Scale, {"factor": [0, 1]}, r"\(0"),
        (Translate, {"y": 1.5}, r"\[-1, 1\]"),
        (Perspective, {"distortion": 1.1}, "less than or equal to 1"),
    ],
)
def test_impossible_fields_are_refused(cls: type[Op], fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cls.model_validate(fields)


def test_two_ways_to_write_an_affine_have_one_code() -> None:
    op, size = Affine.model_validate(WIDE), (30, 44)
    (stream,) = op.streams()
    u = torch.rand(200, stream.count, dtype=torch.float64, generator=torch.manual_seed(4))
    drawn = op.draw([u], size)
    t = drawn["shear_y"]
    other = {
        **drawn,
        "angle": drawn["angle"] - t.atan() / math.pi,
        "shear_x": drawn["shear_x"] + 2 * t / (1 + t * t),
        "shear_y": -t,
    }
    torch.testing.assert_close(op.matrix(drawn, size), op.matrix(other, size), rtol=0, atol=1e-12)
    # angles of float32 codes stand on a grid of 2.4e-7 turn
    torch.testing.assert_close(op.encode(drawn), op.encode(other), rtol=0, atol=2e-6)
    canonical = op.canonical(drawn)
    assert (canonical["shear_y"] >= 0).all()
    torch.testing.assert_close(
        op.matrix(canonical, size), op.matrix(drawn, size), rtol=0, atol=1e-5
    )
    # where one of the three cannot vary there is only one way, which stays as it is drawn
    fixed = Affine.model_validate({**WIDE, "shear_x": 3})
    kept = fixed.draw([u], size)
    assert all(torch.equal(value, kept[name]) for name, value in fixed.canonical(kept).items())


def test_an_image_that_is_shifted_away_has_one_code() -> None:
    op = Translate(fill=0.25)
    away = torch.tensor([[1.0, 0.2], [-1.0, 0.0], [0.3, -1.0], [0.0, 1.0]]).double()
    params = {"x": away[:, 0], "y": away[:, 1]}
    x = noise((9, 12), 4)
    assert (op.apply(x, params) == 0.25).all()
    assert torch.equal(op.encode(params), torch.tensor([[1.0, 0.0]]).double().expand(4, 2))


def test_perspective_codes_mean_the_same_at_every_size() -> None:
    params = draw(Perspective(), (32, 32))
    assert torch.equal(
        Perspective().matrix(params, (32, 32)), Perspective().matrix(params, (480, 640))
    )


def corners_of(coefficients: list[float], size: tuple[int, int]) -> Tensor:
    """Where torchvision's homography takes the last pixel indices: `(4, 2)` in pixels."""
    height, width = size
    inverse = torch.tensor([*coefficients, 1.0]).double().reshape(3, 3).inverse()
    ends = torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    moved = torch.cat([ends.double(), torch.ones(4, 1).double()], dim=-1) @ inverse.mT
    return moved[:, :2] / moved[:, 2:]


def test_torchvisions_own_perspectives_can_be_written_as_parameters() -> None:
    """Its corners are pixel indices; where its map takes the image's corners are parameters."""
    torch.manual_seed(0)
    size = height, width = (45, 64)
    x, op = noise(size, 8), Perspective()
    for image in x:
        coefficients = v2.RandomPerspective(0.5, p=1.0).make_params([image])["coefficients"]
        theirs = F.perspective(image, None, None, coefficients=coefficients, fill=0)
        inverse = torch.tensor([*coefficients, 1.0]).double().reshape(3, 3).inverse()
        params = {}
        for name in CORNERS:
            right, bottom = "right" in name, "bottom" in name
            moved = inverse @ torch.tensor([width * right, height * bottom, 1.0]).double()
            place = moved[:2] / moved[2]
            params[f"{name}_x"] = (1 - place[0] / width if right else place[0] / width)[None]
            params[f"{name}_y"] = (1 - place[1] / height if bottom else place[1] / height)[None]
        mine = op.render(image[None], params)[0]
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)


def test_perspective_corners_are_distributed_as_torchvisions() -> None:
    """On a large image, where torchvision's whole pixels are nearly continuous."""
    torch.manual_seed(0)
    size = (1000, 1400)
    blank = torch.zeros(1, *size)
    theirs = []
    transform = v2.RandomPerspective(0.6, p=1.0)
    for _ in range(300):
        ends = corners_of(transform.make_params([blank])["coefficients"], size)
        far = torch.tensor([size[1] - 1, size[0] - 1]).double()
        inwards = torch.minimum(ends, far - ends) / torch.tensor([size[1], size[0]])
        theirs.append(inwards.flatten())
    mine = torch.stack(list(draw(Perspective(distortion=0.6), size, batch=300).values()), dim=-1)
    for column in range(8):
        assert stats.ks_2samp(mine[:, column], torch.stack(theirs)[:, column]).pvalue > 1e-3


@pytest.mark.parametrize("document", WARPS, ids=str)
def test_nearest_has_no_differentiable_parameters(document) -> None:
    assert all(p.differentiable for p in warp_op(document).parameters())
    nearest = warp_op(document, interpolation="nearest")
    assert not any(p.differentiable for p in nearest.parameters())
