"""The published recipes load, render and replay, and keep the numbers of their publications."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

import augspec
from augspec import Spec
from augspec.language.values import Value
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, identified
from augspec.ops.sharing import Share

FOLDER = Path(__file__).parents[2] / "specs" / "augmentations"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OWN = {"neighbours", "quickstart"}
"""Recipes of this project, which no paper describes."""

ASPECT = {"log_uniform": [0.75, 1.3333333333333333]}
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HEADER = """\
# yaml-language-server: $schema=../schema/augspec.schema.json
# $schema: ../schema/augspec.schema.json
version: 1
"""

# --- what the publications say, op by op, in order -------------------------------------------

Expected = tuple[str, dict[str, Any]]


def crop(size: int, low: float, mode: str, high: float = 1.0) -> Expected:
    fields = {"size": size, "area": [low, high], "aspect": ASPECT, "interpolation": mode}
    return "resized_crop", {**fields, "antialias": True, "p": 1.0}


def jitter(b: float, c: float, s: float, h: float, p: float = 0.8) -> Expected:
    found: dict[str, Any] = {"p": p, "order": "random", "hue": pytest.approx([-h, h])}
    for name, value in (("brightness", b), ("contrast", c), ("saturation", s)):
        found[name] = pytest.approx([1 - value, 1 + value])
    return "color_jitter", found


def gray(p: float = 0.2) -> Expected:
    return "grayscale", {"p": p}


def blur(p: float, kernel: int = 23) -> Expected:
    return "gaussian_blur", {"p": p, "kernel": kernel, "sigma": [0.1, 2.0]}


def solarize(p: float) -> Expected:
    return "solarize", {"p": p, "threshold": pytest.approx(128 / 255)}


FLIP: Expected = ("horizontal_flip", {"p": 0.5})
ORIGINAL: list[Expected] = [("resize", {"size": 256}), ("center_crop", {"size": 224})]


def byol(size: int, low: float, blurred: float, solarized: float, kernel: int = 23) -> list[Any]:
    found = [crop(size, low, "bicubic"), FLIP, jitter(0.4, 0.4, 0.2, 0.1), gray()]
    return [*found, blur(blurred, kernel), solarize(solarized)]


def moco(size: int, blurred: bool = True) -> list[Any]:
    found = [crop(size, 0.2, "bilinear"), jitter(0.4, 0.4, 0.4, 0.1), gray()]
    return [*found, *([blur(0.5)] if blurred else []), FLIP]


def moco_v3(blurred: float, solarized: float, smallest: float = 0.08) -> list[Any]:
    found = [crop(224, smallest, "bilinear"), jitter(0.4, 0.4, 0.2, 0.1), gray(), blur(blurred)]
    return [*found, solarize(solarized), FLIP]


def swav(size: int, low: float, high: float) -> list[Any]:
    found = [crop(size, low, "bilinear", high), FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray()]
    return [*found, blur(0.5)]


def augself(size: int, kernel: int) -> list[Any]:
    found = [crop(size, 0.2, "bilinear"), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray()]
    return [*found, blur(0.5, kernel)]


def essl(size: int) -> list[Any]:
    return [crop(size, 0.2, "bilinear"), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray()]


def turned(small: list[Any], quarters: int) -> list[Any]:
    gate = ("rotate90", {"quarters": (quarters or 1,), "p": 1.0 if quarters else 0.0})
    return [("sequence", {"ops": small}), gate]


def paired(op: Expected) -> Expected:
    return op[0], {**op[1], "share": "pairs"}


CARE = [crop(32, 0.08, "bilinear"), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(), blur(0.5, 3)]
CHUNK = [("sequence", {"ops": CARE, "share": {"samples": 16}})]
STL = [*map(paired, [crop(96, 0.2, "bilinear"), jitter(0.4, 0.4, 0.4, 0.1), gray()])]
STL_FREE = [FLIP, blur(0.5, 9)]
THREE = [
    FLIP,
    ("one_of", {"weights": None, "ops": [gray(1.0), solarize(1.0), blur(1.0)]}),
    jitter(0.3, 0.3, 0.3, 0.0, p=1.0),
]
SRC: list[Expected] = [
    ("resize", {"size": 224, "interpolation": "bicubic"}),
    ("random_crop", {"size": 224, "padding": 4, "mode": "reflect"}),
]
BASE = [crop(224, 0.08, "bilinear"), FLIP]
CHAIN = ("repeat", {"times": (1, 3)})
MIX = ("mix", {"strength": [0.0, 1.0], "ops": [CHAIN, CHAIN, CHAIN]})

SIMCLR_CIFAR = [crop(32, 0.2, "bicubic"), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray()]
SIMCLR = [crop(224, 0.08, "bicubic"), FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(), blur(0.5)]
BYOL = {"first": byol(224, 0.08, 1.0, 0.0), "second": byol(224, 0.08, 0.1, 0.2)}
ESSL_SMALL = [crop(96, 0.05, "bilinear", 0.14), FLIP, jitter(0.4, 0.4, 0.2, 0.1), gray(), blur(0.1)]


def both(ops: list[Any]) -> dict[str, list[Any]]:
    return {"first": ops, "second": ops}


def dino(size: int, area: tuple[float, float], blurred: float, solarized: float) -> list[Any]:
    box = crop(size, area[0], "bicubic", area[1])
    return [box, *byol(size, 0.0, blurred, solarized)[1:]]


def multi_crop(border: float) -> dict[str, list[Any]]:
    return {
        "first": dino(224, (border, 1.0), 1.0, 0.0),
        "second": dino(224, (border, 1.0), 0.1, 0.2),
        **{f"local_{k}": dino(96, (0.05, border), 0.5, 0.0) for k in range(1, 9)},
    }


PUBLISHED: dict[str, dict[str, list[Any]]] = {
    "simclr-cifar10": both(SIMCLR_CIFAR),
    "simclr-imagenet": both(SIMCLR),
    "byol-cifar10": {
        "first": byol(32, 0.2, 1.0, 0.0, kernel=3),
        "second": byol(32, 0.2, 0.1, 0.2, kernel=3),
    },
    "byol-imagenet": BYOL,
    "barlow-twins-imagenet": BYOL,
    "vicreg-imagenet": both(byol(224, 0.08, 0.5, 0.1)),
    "simsiam-imagenet": both(moco(224)),
    "simsiam-cifar10": both(moco(32, blurred=False)),
    "moco-v2-imagenet": both(moco(224)),
    "moco-v3-imagenet": {"first": moco_v3(1.0, 0.0), "second": moco_v3(0.1, 0.2)},
    "moco-v3-resnet50-imagenet": {
        "first": moco_v3(1.0, 0.0, smallest=0.2),
        "second": moco_v3(0.1, 0.2, smallest=0.2),
    },
    "swav-imagenet": {
        **both(swav(224, 0.14, 1.0)),
        **{f"small_{k}": swav(96, 0.05, 0.14) for k in range(1, 7)},
    },
    "dino-imagenet": multi_crop(0.4),
    "dino-resnet50-imagenet": multi_crop(0.14),
    "augself-imagenet100": both(augself(224, 23)),
    "augself-stl10": both(augself(96, 9)),
    "essl-cifar10": {
        **both(essl(32)),
        **{f"turned_{k}": turned(essl(16), k) for k in range(4)},
    },
    "essl-imagenet": {**BYOL, **{f"turned_{k}": turned(ESSL_SMALL, k) for k in range(4)}},
    "care-cifar10": {**both(CARE), "chunk_first": CHUNK, "chunk_second": CHUNK},
    "stl-stl10": both([*STL, *STL_FREE]),
    "stl-stl10-augmix": both([*STL, paired(MIX), *STL_FREE]),
    "three-augment-imagenet": both([crop(224, 0.08, "bicubic"), *THREE]),
    "three-augment-imagenet21k": both([*SRC, *THREE]),
    "randaugment-imagenet": both([*BASE, ("repeat", {"times": 2})]),
    "trivialaugment-wide": both([*BASE, ("one_of", {"weights": None})]),
    "augmix": both([*BASE, MIX]),
}

NORMALIZED: dict[str, tuple[list[float], list[float]]] = {
    "care-cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    "essl-cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    "augself-stl10": ([0.43, 0.42, 0.39], [0.27, 0.26, 0.27]),
    "stl-stl10": ([0.43, 0.42, 0.39], [0.27, 0.26, 0.27]),
    "stl-stl10-augmix": ([0.43, 0.42, 0.39], [0.27, 0.26, 0.27]),
    "swav-imagenet": ([0.485, 0.456, 0.406], [0.228, 0.224, 0.225]),
    **{name: IMAGENET for name in RECIPES if name.endswith("-imagenet") and "swav" not in name},
    **dict.fromkeys(["augself-imagenet100", "three-augment-imagenet21k"], IMAGENET),
    **dict.fromkeys(["trivialaugment-wide", "augmix"], IMAGENET),
}


def load(name: str) -> Spec:
    return augspec.load(FOLDER / f"{name}.yaml")


def assert_ops(ops: tuple[Op, ...], expected: list[Expected], where: str) -> None:
    assert [op.tag() for op in ops] == [tag for tag, _ in expected], where
    for op, (tag, fields) in zip(ops, expected, strict=True):
        for field, wanted in fields.items():
            found = getattr(op, field)
            if field == "ops":
                assert_ops(found, wanted, f"{where}.{tag}")
                continue
            if isinstance(found, Value):
                found = found.document()
            elif isinstance(found, Share):
                found = found.model_dump(exclude_defaults=True)
            assert found == wanted, f"{where}.{tag}.{field}"


def test_every_recipe_has_its_published_numbers() -> None:
    assert PUBLISHED.keys() == set(RECIPES) - OWN


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_numbers(name: str) -> None:
    spec = load(name)
    found = {view: rendering.ops for view, rendering in spec.renderings.items()}
    original = found.pop("original")
    assert found.keys() == PUBLISHED[name].keys()
    for view, expected in PUBLISHED[name].items():
        assert_ops(found[view], expected, view)
    assert_ops(original, [] if spec.image.size else ORIGINAL, "original")
    if name in NORMALIZED:
        assert spec.normalize is not None
        assert (list(spec.normalize.mean), list(spec.normalize.std)) == NORMALIZED[name]


@pytest.mark.parametrize("name", RECIPES)
def test_the_file_says_what_it_is(name: str) -> None:
    spec = load(name)
    assert (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").startswith(HEADER)
    assert spec.name == name
    cited = re.search(r"arXiv \d{4}\.\d{5}|doi\.org/10\.", spec.description)
    assert cited or name in OWN


def test_the_page_on_recipes_lists_them_all() -> None:
    page = (FOLDER.parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)) == RECIPES


# --- rendering ---------------------------------------------------------------------------------


def batch_of(photos: list[Path], size: int | None) -> Tensor:
    """Two photographs `(2, 3, H, W)` uint8: of one size, or as a camera would deliver them."""
    images = [decode_image(str(path), mode=ImageReadMode.RGB) for path in photos[:2]]
    height, width = (size, size) if size else (240, 300)
    return torch.stack([F.resize(image, [height, width]) for image in images])


@pytest.mark.parametrize("name", RECIPES)
def test_renders_and_replays(name: str, photos: list[Path]) -> None:
    spec = load(name)
    side = spec.image.size
    assert side is None or isinstance(side, int)
    images = batch_of(photos, side)
    pipeline = augspec.compile(spec, seed=3)
    batch = pipeline(images, ids=torch.tensor([0, 1]), epoch=2)

    for view, rendering in spec.renderings.items():
        declared = spec.views[rendering.written].size or side or 224
        assert batch.views[view].shape == (2, 3, declared, declared)
        assert batch.views[view].isfinite().all()
        assert batch.codes[view].isfinite().all()
    assert batch.codes["original"].shape[1] == 0
    for params in (batch.params, pipeline.decode(batch.codes)):
        again = pipeline.apply(images, params)
        assert all(torch.equal(again[view], batch.views[view]) for view in batch.views)


# --- who shares which draw ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["essl-cifar10", "essl-imagenet"])
def test_the_turned_views_are_one_crop_in_four_directions(name: str, photos: list[Path]) -> None:
    spec = load(name)
    assert spec.image.size is None or isinstance(spec.image.size, int)
    images = batch_of(photos, spec.image.size)
    views = augspec.compile(spec)(images, ids=torch.tensor([0, 1]), epoch=0).views
    for quarters in range(1, 4):
        turned_by = views["turned_0"].rot90(quarters, (-2, -1))
        assert torch.equal(views[f"turned_{quarters}"], turned_by)
        assert not torch.equal(views[f"turned_{quarters}"], views["turned_0"])


def test_chunks_share_every_draw() -> None:
    positions = torch.arange(48)
    ids = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:48]
    codes = augspec.compile(load("care-cifar10")).draw(ids, 0, (32, 32), positions)
    for view in ("chunk_first", "chunk_second"):
        assert torch.equal(codes[view], codes[view][::16].repeat_interleave(16, dim=0))
        assert len(codes[view].unique(dim=0)) == 3
    assert not torch.equal(codes["chunk_first"], codes["chunk_second"])
    assert len(codes["first"].unique(dim=0)) == 48


@pytest.mark.parametrize("name", ["stl-stl10", "stl-stl10-augmix"])
def test_pairs_share_what_is_aligned_and_nothing_else(name: str) -> None:
    pipeline = augspec.compile(load(name))
    codes = pipeline.draw(torch.arange(64), 0, (96, 96), torch.arange(64))
    free = 2  # the flip's column and the blur's, which come last
    for view in ("first", "second"):
        aligned, own = codes[view][:, :-free], codes[view][:, -free:]
        assert torch.equal(aligned[0::2], aligned[1::2])
        assert len(aligned.unique(dim=0)) == 32
        assert (own[0::2] != own[1::2]).any()
    assert not torch.equal(codes["first"][:, :-free], codes["second"][:, :-free])


# --- the policies, against torchvision's -----------------------------------------------------

SPACES: dict[str, tuple[type[Any], int, int]] = {
    "randaugment-imagenet": (v2.RandAugment, 31, 224),
    "trivialaugment-wide": (v2.TrivialAugmentWide, 31, 224),
    "augmix": (v2.AugMix, 10, 224),
    "stl-stl10-augmix": (v2.AugMix, 10, 96),
}
"""For each policy torchvision's class, its number of bins, and the side of the images."""

FACTORS = {"brightness": "Brightness", "saturation": "Color", "contrast": "Contrast"}
FACTORS |= {"sharpness": "Sharpness"}
SWITCHES = {"identity": "Identity", "autocontrast": "AutoContrast", "equalize": "Equalize"}
Distribution = dict[tuple[str, float], float]
"""The probability of each op of torchvision's at each magnitude, sign included."""


def torchvision_distribution(name: str) -> Distribution:
    policy, bins, side = SPACES[name]
    used = {"RandAugment": [9], "TrivialAugmentWide": list(range(31)), "AugMix": [0, 1, 2]}
    space = policy._AUGMENTATION_SPACE
    found: Distribution = defaultdict(float)
    for key, (magnitudes, signed) in space.items():
        values = magnitudes(bins, side, side)
        for index in used[policy.__name__] if values is not None else [0]:
            value = float(values[index]) if values is not None else 0.0
            if key.startswith("Translate"):
                value = float(int(value))  # as torchvision does when it applies it
            share = 1 / len(space) / (len(used[policy.__name__]) if values is not None else 1)
            for sign in (1, -1) if signed else (1,):
                found[key, round(sign * value, 6) + 0.0] += share / (2 if signed else 1)
    return found


def magnitudes(op_id: str, op: Op, side: int) -> Iterator[tuple[str, float, float]]:
    """What an entry of ours is in torchvision's terms: its op, magnitude and probability."""
    if op_id in SWITCHES:
        yield SWITCHES[op_id], 0.0, 1.0
        return
    axis = op_id.removesuffix("_back")[-1]
    field, key, scale, shift = {
        "affine": (f"shear_{axis}", f"Shear{axis.upper()}", 0.0, 0.0),
        "shear": (axis, f"Shear{axis.upper()}", 0.0, 0.0),
        "translate": (axis, f"Translate{axis.upper()}", float(side), 0.0),
        "rotate": ("degrees", "Rotate", 1.0, 0.0),
        "posterize": ("bits", "Posterize", 1.0, 0.0),
        "solarize": ("threshold", "Solarize", 1.0, 0.0),
    }.get(op.tag()) or ("factor", FACTORS[op.tag()], 1.0, -1.0)
    # a fine grid of uniforms, more than any number of choices, gives each choice its probability
    count = 62 * 31 * 6
    drawn = getattr(op, field).sample((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    values, counts = drawn.unique(return_counts=True)
    for value, number in zip(values.tolist(), counts.tolist(), strict=True):
        sheared = math.tan(math.radians(value))
        yield key, sheared if key.startswith("Shear") else value * scale + shift, number / count


def one_of_in(op: Op) -> Combinator:
    while op.tag() != "one_of":
        assert isinstance(op, Combinator)
        op = op.ops[0]
    assert isinstance(op, Combinator)
    return op


def policy_of(name: str) -> Op:
    tags = {"repeat", "one_of", "mix"}
    (policy,) = (op for op in load(name).views["first"].ops if op.tag() in tags)
    return policy


@pytest.mark.parametrize("name", sorted(SPACES))
def test_policies_draw_as_torchvision_does(name: str) -> None:
    side = SPACES[name][2]
    choice = one_of_in(policy_of(name))
    weights = getattr(choice, "weights", None) or (1.0,) * len(choice.ops)
    found: Distribution = defaultdict(float)
    for weight, (op_id, op) in zip(weights, identified(choice.ops), strict=True):
        for key, value, share in magnitudes(op_id, op, side):
            found[key, round(value, 6) + 0.0] += weight / sum(weights) * share

    expected = torchvision_distribution(name)
    assert len(found) == len(expected)
    for (key, value), probability in expected.items():
        # whole pixels and factors come back from ten decimals
        (same,) = (p for (k, v), p in found.items() if k == key and abs(v - value) < 2e-5)
        assert same == pytest.approx(probability, abs=1e-9), (key, value)


def test_randaugment_has_torchvisions_pixels(photos: list[Path]) -> None:
    """Every entry of the policy, at every value that it draws."""
    photo = F.resize(decode_image(str(photos[0]), mode=ImageReadMode.RGB), [224, 224])
    image = photo.float() / 255  # on 8 bits, torchvision rounds inside of its steps too
    policy, compared = v2.RandAugment(), set()
    for op_id, op in identified(one_of_in(policy_of("randaugment-imagenet")).ops):
        if op_id == "identity":
            continue
        for key, magnitude, _ in magnitudes(op_id, op, 224):
            fixed = pinned(op, key, magnitude)
            text = f"version: 1\nname: t\nviews: {{v: {{ops: [{fixed}]}}}}"
            pipeline = augspec.compile(augspec.loads(text))
            ours = pipeline(image[None], ids=torch.tensor([0]), epoch=0).views["v"][0]
            arguments = {"interpolation": policy.interpolation, "fill": policy._fill}
            if key.startswith("Translate"):
                magnitude = round(magnitude)
            theirs = policy._apply_image_or_video_transform(image, key, magnitude, **arguments)
            assert not torch.equal(theirs, image)
            # of two pixels that are equally near, each may be the nearest
            apart = ((ours - theirs).abs() > 1e-4).double().mean().item()
            assert apart < (1e-3 if op.tag() == "rotate" else 1e-9), (op_id, magnitude, apart)
            compared.add((key, round(magnitude, 4)))
    assert len(compared) == 4 + 4 + 2 + 8 + 4  # shears, shifts, turns, factors, the rest


def pinned(op: Op, key: str, magnitude: float) -> str:
    """The op as a line of a spec, with what it draws replaced by one value."""
    if key.startswith("Translate"):
        x, y = (magnitude / 224, 0.0) if key.endswith("X") else (0.0, magnitude / 224)
        return f"{{op: translate, x: {x}, y: {y}, interpolation: nearest}}"
    if key == "Rotate":
        return f"{{op: rotate, degrees: {magnitude}, interpolation: nearest}}"
    if key in FACTORS.values():
        return f"{{op: {op.tag()}, factor: [{1 + magnitude}, {1 + magnitude}]}}"
    fields = op.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"
