"""Draws made as the released codes make them, with torchvision's own classes, one image at a time.

Each draw is a `Record` of what torchvision was told. From it, tests derive by hand what a released
code writes down, and what our ops would have drawn: the two must meet in the format.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchvision import transforms as T

import augspec
from augspec import Pipeline
from augspec.compiler.plan import ViewPlan
from augspec.encoding.codecs import Order
from augspec.ops.contract import Op

CROP = {"op": "resized_crop", "size": [24, 20], "area": [0.2, 1.0], "aspect": [0.75, 1.3333]}
FLIP = {"op": "horizontal_flip", "p": 0.5}
JITTER = {"op": "color_jitter", "p": 0.7, "brightness": 0.4, "contrast": 0.3, "hue": 0.1}
JITTER |= {"saturation": [0.5, 1.1]}
GRAY = {"op": "grayscale", "p": 0.3}
BLUR = {"op": "gaussian_blur", "p": 0.6, "kernel": 5, "sigma": [0.1, 2.0]}
SOLARIZE = {"op": "solarize", "p": 0.4, "threshold": [0.1, 0.9]}
QUARTERS = {"op": "rotate90", "p": 0.6}


@dataclass
class Record:
    """What one image's draw was."""

    size: tuple[int, int]
    top: int = 0
    left: int = 0
    height: int = 0
    width: int = 0
    flip: int = 0
    jitter: int = 0
    order: list[int] = field(default_factory=lambda: [0, 1, 2, 3])
    factors: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0, 0.0])
    gray: int = 0
    blur: int = 0
    sigma: float = 0.0
    solarize: int = 0
    threshold: float = 1.0
    quarters: int = 0


def pipeline_of(**views: list[dict]) -> Pipeline:
    document = {"version": 1, "name": "made", "views": {n: {"ops": o} for n, o in views.items()}}
    return augspec.compile(augspec.loads(json.dumps(document)))


def draw(view: ViewPlan, sizes: Sequence[tuple[int, int]], seed: int) -> list[Record]:
    """A record for each image, of which only the size matters."""
    torch.manual_seed(seed)
    gates = random.Random(seed)
    return [_record(view, size, gates) for size in sizes]


def _record(view: ViewPlan, size: tuple[int, int], gates: random.Random) -> Record:
    record = Record(size)
    image = torch.empty(3, *size)
    for step in view.steps:
        op, tag = step.op, step.op.tag()
        on = gates.random() < op.gate
        if tag == "resized_crop":
            area, aspect = ([v.low, v.high] for v in (op.area, op.aspect))
            box = T.RandomResizedCrop.get_params(image, area, aspect)
            record.top, record.left, record.height, record.width = box
        elif tag == "color_jitter" and on:
            ranges = [[v.low, v.high] for v in _values(op)]
            order, *record.factors = T.ColorJitter.get_params(*ranges)
            record.jitter, record.order = 1, order.tolist()
        elif tag == "gaussian_blur" and on:
            record.blur, record.sigma = 1, T.GaussianBlur.get_params(op.sigma.low, op.sigma.high)
        elif tag == "solarize" and on:
            record.solarize = 1
            record.threshold = gates.uniform(op.threshold.low, op.threshold.high)
        elif tag == "rotate90" and on:
            record.quarters = gates.randrange(4)
        elif tag in ("horizontal_flip", "grayscale"):
            setattr(record, {"horizontal_flip": "flip", "grayscale": "gray"}[tag], int(on))
    return record


def _values(op: Op) -> list:
    return [op.brightness, op.contrast, op.saturation, op.hue]


def parameters(view: ViewPlan, records: Sequence[Record]) -> dict[str, Tensor]:
    """What our ops draw where torchvision was told this."""

    def column(of) -> Tensor:  # type: ignore[no-untyped-def]
        return torch.tensor([of(record) for record in records], dtype=torch.float64)

    found: dict[str, Tensor] = {}
    # of what the crop gives
    shorter = min(view.steps[0].op.output_size((1, 1))) if view.steps else 0
    for step in view.steps:
        tag = step.op.tag()
        own: dict[str, Tensor] = {}
        if tag == "resized_crop":
            own = {
                "center_y": column(lambda r: (r.top + r.height / 2) / r.size[0]),
                "center_x": column(lambda r: (r.left + r.width / 2) / r.size[1]),
                "height": column(lambda r: r.height / r.size[0]),
                "width": column(lambda r: r.width / r.size[1]),
            }
        elif tag == "horizontal_flip":
            own = {"flip": column(lambda r: r.flip)}
        elif tag == "color_jitter":
            names = ("brightness", "contrast", "saturation", "hue")
            own = {name: column(lambda r, k=k: r.factors[k]) for k, name in enumerate(names)}
            own["order"] = Order().index(torch.tensor([r.order for r in records]))
        elif tag == "grayscale":
            own = {"gray": column(lambda r: r.gray)}
        elif tag == "gaussian_blur":
            own = {"sigma": column(lambda r: r.sigma / shorter)}
        elif tag == "solarize":
            own = {"on": column(lambda r: r.solarize), "threshold": column(lambda r: r.threshold)}
        else:
            own = {"angle": column(lambda r: r.quarters / 4)}
        found |= {step.key(name): value for name, value in own.items()}
    return found


def drawn(
    pipeline: Pipeline, sizes: Sequence[tuple[int, int]], seed: int = 0
) -> tuple[dict[str, list[Record]], dict[str, dict[str, Tensor]]]:
    """Records by view, and the parameters that our codes carry of them."""
    views = pipeline.plan.views
    records = {v.name: draw(v, sizes, seed + k) for k, v in enumerate(views)}
    codes = pipeline.encode({v.name: parameters(v, records[v.name]) for v in views})
    return records, pipeline.decode(codes)
