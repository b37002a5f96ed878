"""Draws and renders every published recipe and every op's examples, and prints digests as JSON.

    python tests/augspec/codes/everywhere.py cpu|cuda

`test_everywhere.py` runs it as processes that may use other instructions of the processor, other
numbers of threads, or a GPU, and compares what they print.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

import augspec
from augspec.codes.reference import digest, normalized, reference_pixels, sample_params
from augspec.compiler.pipeline import Pipeline
from augspec.language.spec import Spec
from augspec.ops import OPS
from augspec.preview.pictures import to_tensor
from augspec.preview.scene import scene

FOLDER = Path(__file__).parents[3] / "specs" / "augmentations"
DRAWS = 2000
SIDE = 48
SKIPPED = {"AS104", "AS107", "AS108", "AS109", "AS110"}


def specs() -> Iterator[tuple[str, Spec]]:
    """Every recipe, and one spec for each op as it is by default and in each of its examples."""
    for path in sorted(FOLDER.glob("*.yaml")):
        yield path.stem, augspec.load(path)
    for tag, cls in OPS.items():
        for number, fields in enumerate([{}, *cls.examples]):
            document = {"version": 1, "name": "one", "image": {"size": SIDE}}
            document["views"] = {"first": {"ops": [{"op": tag, **fields}]}}
            try:
                yield f"{tag} {number}", augspec.loads(json.dumps(document))
            except augspec.SpecError as error:
                # a combinator without ops, say
                if any(str(d.code) not in SKIPPED for d in error.diagnostics):
                    raise


def images(size: tuple[int, int]) -> list[Tensor]:
    """A drawn scene with even areas, and noise."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    return [to_tensor(scene(*size), 3)[0], noise]


def digests(spec: Spec, device: str) -> dict[str, object]:
    """Of many draws (codes, seeds and parameters), and of the reference views of two images."""
    size = spec.input_size or (SIDE, SIDE - 8)
    pipeline = Pipeline(augspec.make_plan(spec), seed=3)
    ids = torch.arange(DRAWS, device=device)
    codes, seeds = pipeline.draw(ids, 1, size), pipeline.seeds(ids, 1, size)
    params = pipeline.decode(codes, seeds)
    found: dict[str, object] = {}
    for kind, tensors in (
        ("codes", codes),
        ("seeds", {f"{v} {k}": t for v, own in seeds.items() for k, t in own.items()}),
        # the exponential function of a GPU may differ in the last bit of float64
        ("params", {f"{v} {k}": t.float() for v, own in params.items() for k, t in own.items()}),
    ):
        text = "".join(f"{name} {digest(t)}\n" for name, t in sorted(tensors.items()))
        found[kind] = hashlib.sha256(text.encode()).hexdigest()
    params = pipeline.decode(
        {view: code.cpu() for view, code in codes.items()},
        {view: {k: t.cpu() for k, t in own.items()} for view, own in seeds.items()},
    )
    for k, image in enumerate(images(size)):
        views = reference_pixels(pipeline.plan, image, sample_params(params, k), device)
        found[f"views {k}"] = {
            name: digest(normalized(view, spec.normalize)) for name, view in views.items()
        }
    return found


if __name__ == "__main__":
    print(json.dumps({name: digests(spec, sys.argv[1]) for name, spec in specs()}))
