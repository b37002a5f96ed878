"""Encoders: images to features, trained from scratch.

The ResNets are timm's, with the initialisation of the code released with EquiMod: He-normal
convolutions (fan out), torch's default for the `cifar` stem that replaces the first one, and the
last batch norm of each residual branch starting at scale 0. All encoders compute in the
channels-last memory format, which is the quicker one for them on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

import augspec
from augspec import DocumentModel

Stem = Literal["cifar", "imagenet"]

LayerName = Literal["last", "layer1", "layer2", "layer3", "layer4"]
"""What every encoder here has: `last`, its features, and the maps that its four stages give."""


class FeatureMap(NamedTuple):
    """Where in a network an intermediate feature map `(N, C, h, w)` comes from."""

    child: str
    """The name of the child of the network that gives it."""
    channels: int
    """C."""


class Encoder(nn.Module):
    """A network and the width of its features.

    Args:
        network: maps `(N, 3, H, W)` to `(N, feature_dim)`, pooling included.
        feature_dim: F.
        maps: the feature maps that can be had of it beside its features, by the name of the layer.
            With any, the network must do what its children do one after the other.
    """

    def __init__(
        self, network: nn.Module, feature_dim: int, maps: Mapping[str, FeatureMap] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.feature_dim = feature_dim
        self.maps = dict(maps or {})

    def width(self, layer: str) -> int:
        """How wide a layer's output is: F of `last`, the channels C of a feature map.

        Raises:
            ValueError: there is no such layer.
        """
        return self.feature_dim if layer == "last" else self._map(layer).channels

    def forward(self, images: Tensor, layer: str | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Features `(N, F)` of images `(N, 3, H, W)`; with a layer also its output, in one pass.

        Args:
            images: `(N, 3, H, W)`.
            layer: whose output is wanted, too. A feature map `(N, C, h, w)` is averaged over its
                positions to `(N, C)`, as global pooling makes the features of the last one; no
                other reduction is offered.

        Returns:
            The features alone, or the features and the layer's output.

        Raises:
            ValueError: there is no such layer.
        """
        if layer is None or layer == "last":
            features: Tensor = self.network(_channels_last(images))
            return features if layer is None else (features, features)
        child = self._map(layer).child
        for name, features in self.outputs(images):
            if name == child:
                pooled = features.mean(dim=(2, 3))
        return features, pooled

    def outputs(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What each child of the network gives, with its name, one after the other.

        To be read before the next is asked for, which may change it in place.

        Args:
            images: `(N, 3, H, W)`.
        """
        x = _channels_last(images)
        for name, part in self.network.named_children():
            x = part(x)
            yield name, x

    def up_to(self, layer: str) -> nn.Module:
        """What maps images to a layer's output, `(N, 3, H, W)` to `(N, C)`, with these weights.

        Raises:
            ValueError: there is no such layer.
        """
        return self if layer == "last" else _UpTo(self, self._map(layer).child)

    def _map(self, layer: str) -> FeatureMap:
        if layer not in self.maps:
            names = ["last", *self.maps]
            hint = augspec.meant(layer, names)
            raise ValueError(f"the encoder has no layer {layer!r}{hint} (has: {', '.join(names)})")
        return self.maps[layer]


class _UpTo(nn.Module):
    """An encoder up to a child of its network, whose map is averaged over its positions."""

    def __init__(self, encoder: Encoder, child: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.child = child

    def forward(self, images: Tensor) -> Tensor:
        """`(N, C)` of images `(N, 3, H, W)`; later children do not compute."""
        outputs = self.encoder.outputs(images)
        return next(x for name, x in outputs if name == self.child).mean(dim=(2, 3))


def _channels_last(images: Tensor) -> Tensor:
    # the weights stay in the ordinary format, in which every reader of checkpoints wants them
    return images.contiguous(memory_format=torch.channels_last)


def resnet(name: Literal["resnet18", "resnet34", "resnet50"], stem: Stem) -> Encoder:
    """A ResNet without classifier.

    Args:
        name: 512 features from `resnet18` and `resnet34`, 2048 from `resnet50`.
        stem: `imagenet` is the 7x7 convolution of stride 2 and max-pool; `cifar` a 3x3 convolution
            of stride 1 without pooling, as SimCLR (arXiv 2002.05709, appendix B.9) has it.
    """
    import timm  # here, because it takes seconds that only a ResNet is worth

    network = timm.create_model(name, pretrained=False, num_classes=0, zero_init_last=True)
    if stem == "cifar":
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    stages = {stage["module"]: stage["num_chs"] for stage in network.feature_info[1:]}
    maps = {name: FeatureMap(name, channels) for name, channels in stages.items()}
    return Encoder(network, network.num_features, maps)


def small() -> Encoder:
    """A residual network for images of 32x32 on a CPU: 1.2 M parameters, 256 features.

    A 3x3 stem of 16 channels at full size, then four residual blocks that halve height and width.
    """
    widths = (16, 32, 64, 128, 256)
    stem = [
        nn.Conv2d(3, widths[0], kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
    ]
    blocks = [_Block(i, o) for i, o in pairwise(widths)]
    network = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    maps = {
        f"layer{k + 1}": FeatureMap(str(len(stem) + k), channels)
        for k, channels in enumerate(widths[1:])
    }
    return Encoder(network, widths[-1], maps)


class EncoderConfig(DocumentModel):
    """The encoder, trained from scratch."""

    name: Literal["resnet18", "resnet34", "resnet50", "small"] = "resnet18"
    """A ResNet, or `small`, a residual network of 1.2 M parameters for two CPU cores."""
    stem: Stem = "cifar"
    """Stem of a ResNet: `cifar` for images of 32 to 64 pixels; `small` has one stem only."""

    def build(self) -> Encoder:
        """The encoder, initialised from torch's global generator: seed it before."""
        return small() if self.name == "small" else resnet(self.name, self.stem)


class _Block(nn.Module):
    """Two 3x3 convolutions beside a strided 1x1 one; halves height and width."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(fan_in, fan_out, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(fan_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(fan_out, fan_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(fan_out),
        )
        self.shortcut = nn.Conv2d(fan_in, fan_out, kernel_size=1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.branch(x) + self.shortcut(x))
