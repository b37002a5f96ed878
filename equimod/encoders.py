"""Encoders: images to features, trained from scratch.

The ResNets are timm's, with the initialisation of the code released with EquiMod: He-normal
convolutions (fan out), torch's default for the `cifar` stem that replaces the first one, and the
last batch norm of each residual branch starting at scale 0. All encoders compute in the
channels-last memory format, which is the quicker one for them on a CPU.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from augspec import DocumentModel

Stem = Literal["cifar", "imagenet"]


class Encoder(nn.Module):
    """A network and the width of its features.

    Args:
        network: maps `(N, 3, H, W)` to `(N, feature_dim)`, pooling included.
        feature_dim: F.
    """

    def __init__(self, network: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.network = network
        self.feature_dim = feature_dim

    def forward(self, images: Tensor) -> Tensor:
        """Features `(N, F)` of images `(N, 3, H, W)`."""
        # the weights stay in the ordinary format, in which every reader of checkpoints wants them
        features: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return features


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
    return Encoder(network, network.num_features)


def small() -> Encoder:
    """A residual network for images of 32x32 on a CPU: 1.2 M parameters, 256 features.

    A 3x3 stem of 16 channels at full size, then four residual blocks that halve height and width.
    """
    widths = (16, 32, 64, 128, 256)
    network = nn.Sequential(
        nn.Conv2d(3, widths[0], kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
        *(_Block(i, o) for i, o in pairwise(widths)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return Encoder(network, widths[-1])


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
