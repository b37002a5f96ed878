"""Encoders: shapes, stems, initialisation, and learning on real images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from equimod.encoders import Encoder, EncoderConfig, LayerName


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


WIDTHS = {
    "small": (32, 64, 128, 256),
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
}


@pytest.mark.parametrize("name", WIDTHS)
def test_every_encoder_has_the_layers_that_a_run_can_name(name: str) -> None:
    names = get_args(LayerName)
    with torch.device("meta"):
        encoder = EncoderConfig(name=name).build()  # type: ignore[arg-type]
        assert ("last", *encoder.maps) == names
        assert [encoder.width(layer) for layer in names[1:]] == [*WIDTHS[name]]
        assert encoder.width("last") == encoder.feature_dim
        for layer in names:
            features, output = encoder(torch.rand(2, 3, 32, 32), layer)
            assert features.shape == (2, encoder.feature_dim)
            assert output.shape == (2, encoder.width(layer))
            assert encoder.up_to(layer)(torch.rand(2, 3, 32, 32)).shape == output.shape
    assert encoder.up_to("last") is encoder


def by_hand(encoder: Encoder, images: Tensor) -> list[Tensor]:
    """The maps of the four stages, each computed by naming the modules on the way."""
    net = encoder.network
    if isinstance(net, nn.Sequential):
        x, stages = net[2](net[1](net[0](images))), net[3:7]
    else:
        x = net.maxpool(net.act1(net.bn1(net.conv1(images))))  # type: ignore[operator]
        stages = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)
    found = []
    for stage in stages:
        x = stage(x)
        found.append(x.clone())
    return found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "stem"), [("small", "cifar"), ("resnet18", "cifar"), ("resnet50", "imagenet")]
)
def test_a_layer_is_the_mean_of_its_map_beside_the_same_features(
    name: str, stem: str, training: bool
) -> None:
    torch.manual_seed(0)
    encoder = EncoderConfig(name=name, stem=stem).build().double()  # type: ignore[arg-type]
    images = torch.randn(4, 3, 32, 32).double()
    with torch.no_grad():
        encoder(images)  # so that batch norms' running statistics are not those of the start
        encoder.train(training)
        features = encoder(images)
        maps = by_hand(encoder, images)
        for k, expected in enumerate(maps):
            last, output = encoder(images, f"layer{k + 1}")
            assert torch.equal(last, features)
            torch.testing.assert_close(output, expected.mean((2, 3)), rtol=1e-10, atol=1e-12)
            assert torch.equal(encoder.up_to(f"layer{k + 1}")(images), output)
        assert all(torch.equal(x, features) for x in encoder(images, "last"))
    assert not any(m._forward_hooks for m in encoder.modules())


def test_a_layer_that_is_not_there_is_refused() -> None:
    encoder = EncoderConfig(name="small").build()
    message = r"no layer 'layer_2'; did you mean 'layer2'\? \(has: last, layer1, .*layer4\)"
    for ask in (encoder.width, encoder.up_to, lambda name: encoder(torch.rand(2, 3, 8, 8), name)):
        with pytest.raises(ValueError, match=message):
            ask("layer_2")
    with pytest.raises(ValueError, match=r"no layer 'layer1' \(has: last\)"):
        Encoder(nn.Identity(), 8).width("layer1")


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
