"""Encoders: shapes, stems, initialisation, and learning on real images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from equimod.encoders import Encoder, EncoderConfig


@pytest.mark.parametrize(
    ("name", "features", "millions"),
    [
        ("small", 256, 1.2),
        ("resnet18", 512, 11.2),
        ("resnet34", 512, 21.3),
        ("resnet50", 2048, 23.5),
    ],
)
def test_features_are_as_wide_as_stated_and_the_size_is_the_published_one(
    name: str, features: int, millions: float
) -> None:
    with torch.device("meta"):  # shapes only
        encoder = EncoderConfig(name=name).build()  # type: ignore[arg-type]
        assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, features)
    assert encoder.feature_dim == features
    size = sum(p.numel() for p in encoder.parameters()) / 1e6
    assert size == pytest.approx(millions, abs=0.06)


def final_side(encoder: Encoder, side: int) -> int:
    """Height of the last feature map before pooling, for images of `side` pixels."""
    sizes: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append(output.shape[-1])

    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.device("meta"):
        encoder.to("meta")(torch.rand(2, 3, side, side))
    return sizes[-1]


def test_the_stem_decides_how_much_a_resnet_shrinks_its_image() -> None:
    assert final_side(EncoderConfig(name="resnet18", stem="cifar").build(), 32) == 4
    assert final_side(EncoderConfig(name="resnet18", stem="imagenet").build(), 64) == 2
    assert final_side(EncoderConfig(name="small").build(), 32) == 2


def test_a_resnets_residual_branches_start_at_zero_and_its_convolutions_he_normal() -> None:
    torch.manual_seed(0)
    network = EncoderConfig(name="resnet50", stem="imagenet").build().network
    blocks = [m for m in network.modules() if type(m).__name__ == "Bottleneck"]
    assert len(blocks) == 16
    assert all(bool((block.bn3.weight == 0).all()) for block in blocks)
    for conv in (m for m in network.modules() if isinstance(m, nn.Conv2d)):
        fan_out = conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1]
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_one_seed_gives_one_encoder() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(EncoderConfig(name="small").build().state_dict())
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert all(v.is_contiguous() for v in weights[0].values())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValidationError, match="'resnet18', 'resnet34', 'resnet50' or 'small'"):
        EncoderConfig(name="resnet19")  # type: ignore[arg-type]


def cifar10(folder: Path, part: str, count: int) -> tuple[Tensor, Tensor]:
    table = pq.read_table(folder / f"{part}-00000-of-00001.parquet").slice(0, count).to_pydict()
    pixels = [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in table["img"]]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    return images - 0.5, torch.tensor(table["label"])


def test_the_small_encoder_learns_cifar10_within_seconds(cifar10_folder: Path) -> None:
    images, labels = cifar10(cifar10_folder, "train", 2000)
    torch.manual_seed(0)
    model = nn.Sequential(EncoderConfig(name="small").build(), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(3):
        order = torch.randperm(2000, generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    model.eval()
    test_images, test_labels = cifar10(cifar10_folder, "test", 1000)
    with torch.no_grad():
        accuracy = (model(test_images).argmax(1) == test_labels).float().mean().item()
    assert accuracy > 0.25  # chance is 0.1
