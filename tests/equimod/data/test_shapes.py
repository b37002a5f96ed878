"""The rendered data set: the same everywhere, balanced, and neither trivial nor hopeless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from equimod.data import InMemoryImages, ShapesConfig
from equimod.data.rendering import PALETTE

GOLDEN = "9cbc8dd1fdcd5d90cb8c26ed39028aec"


@pytest.fixture(scope="module")
def default() -> tuple[InMemoryImages, InMemoryImages]:
    config = ShapesConfig()
    return config.build("train", Path()), config.build("test", Path())


def test_default_sizes_and_description(default: tuple[InMemoryImages, InMemoryImages]) -> None:
    train, test = default
    assert train.images.shape == (4096, 3, 32, 32)
    assert test.images.shape == (1024, 3, 32, 32)
    assert train.label_names == ("shape", "colour")
    assert train.describe() == (
        "shapes (rendered), 4,096 train images 32x32, 8 shape classes and 8 colour classes"
    )
    assert torch.equal(train.sizes, torch.full((4096, 2), 32))
    assert torch.equal(train.load(5), train.images[5])


def test_labels_are_balanced_and_independent(
    default: tuple[InMemoryImages, InMemoryImages],
) -> None:
    for data in default:
        table = torch.zeros(8, 8)
        table.index_put_((data.labels[:, 0], data.labels[:, 1]), torch.ones(len(data)), True)
        assert (table == len(data) / 64).all()
    assert default[0].labels[:64].tolist() != sorted(default[0].labels[:64].tolist())


@given(
    seed=st.integers(0, 2**32 - 1),
    small=st.integers(1, 70),
    more=st.integers(1, 70),
    split=st.sampled_from(["train", "test"]),
)
def test_a_larger_set_begins_with_the_smaller_one(
    seed: int, small: int, more: int, split: str
) -> None:
    few = ShapesConfig(train=small, test=small, size=8, seed=seed).build(split, Path())
    many = ShapesConfig(train=small + more, test=small + more, size=8, seed=seed).build(
        split, Path()
    )
    assert torch.equal(few.images, many.images[:small])
    assert torch.equal(few.labels, many.labels[:small])


def test_splits_and_seeds_differ() -> None:
    config = ShapesConfig(train=64, test=64)
    train, test = config.build("train", Path()), config.build("test", Path())
    other = ShapesConfig(train=64, seed=1).build("train", Path())
    for a, b in ((train, test), (train, other)):
        assert a.fingerprint != b.fingerprint
        assert (a.images.flatten(1) != b.images.flatten(1)).any(1).all()


def test_the_bytes_are_the_same_in_every_process_and_on_every_machine() -> None:
    # only correctly rounded operations are used, so it holds wherever NumPy follows IEEE 754
    code = (
        "from pathlib import Path; from equimod.data import ShapesConfig;"
        "print(ShapesConfig(train=130, size=24, seed=7).build('train', Path()).fingerprint)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found == ShapesConfig(train=130, size=24, seed=7).build("train", Path()).fingerprint
    assert found == GOLDEN


def test_every_shape_shows_its_colour() -> None:
    """The median colour inside a shape is nearest to the colour it is labelled with."""
    data = ShapesConfig(train=512, size=64).build("train", Path())
    palette = torch.tensor(list(PALETTE.values()))
    # the shape is the largest patch of one hue: ask which colour most pixels near the centre have
    hue = torch.nn.functional.normalize(palette - palette.mean(1, keepdim=True), dim=1)
    pixels = data.images.float()[:, :, 16:48, 16:48].flatten(2) / 255
    chroma = torch.nn.functional.normalize(pixels - pixels.mean(1, keepdim=True), dim=1)
    votes = torch.einsum("kc,ncp->nkp", hue, chroma).argmax(1)
    counts = torch.stack([(votes == k).sum(1) for k in range(8)], dim=1)
    right = (counts.argmax(1) == data.labels[:, 1]).float().mean()
    assert right > 0.5  # chance is 0.125; blobs and backgrounds of other colours take the rest


def test_raw_pixels_do_not_solve_the_shape(
    default: tuple[InMemoryImages, InMemoryImages],
) -> None:
    train, test = (data.images.flatten(1).double() / 255 for data in default)
    distances = torch.cdist(test[:512], train[:2048])
    neighbours = default[0].labels[distances.topk(10, largest=False).indices]
    right = (neighbours.mode(dim=1).values == default[1].labels[:512]).double().mean(0)
    shape, colour = right.tolist()
    assert 0.125 < shape < 0.4
    assert shape < colour < 0.95


def test_mean_colour_does_not_solve_the_colour(
    default: tuple[InMemoryImages, InMemoryImages],
) -> None:
    """A linear least-squares classifier on the mean colour misses every third image or more."""
    x, y = (np.c_[data.images.double().mean((2, 3)), np.ones(len(data))] for data in default)
    targets = np.eye(8)[default[0].labels[:, 1]]
    weights = np.linalg.lstsq(x, targets, rcond=None)[0]
    right = ((y @ weights).argmax(1) == default[1].labels[:, 1].numpy()).mean()
    assert right < 2 / 3


@pytest.mark.parametrize("bad", [{"train": 0}, {"size": 4}, {"seed": -1}, {"colour": 3}])
def test_bad_options_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        ShapesConfig(**bad)
