"""The Triton kernels beside the reference and `torch.compile`, on a CUDA GPU.

    python benchmarks/triton_kernels.py

For SimCLR's recipes on CIFAR and ImageNet, of noise, uint8, as float32 and as bfloat16 with the
channels last: the first view's colours, its geometry, both, and its blur, each with the
normalisation, and then both augmented views, whole. Times are of interleaved repeats on the GPU,
from the start of the first kernel to the end of the last one, with the waits for the host between
them; the parameters are drawn before. The floor moves as many bytes as the images and the views
have. A few minutes, much of them compilation.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from pipeline_bench.machine import processor
from pipeline_bench.timing import Quartiles, milliseconds
from pipeline_bench.workloads import ROOT, VIEWS
from torch import Tensor

import augspec
from augspec.compiler.compiled import CompiledRenderer
from augspec.compiler.eager import render_eager, unit_range
from augspec.compiler.output import Output
from augspec.compiler.plan import Plan, Step
from augspec.compiler.triton import TritonRenderer, refuses

WARMING = 3
Views = dict[str, Tensor]
Params = Mapping[str, Mapping[str, Tensor]]


def _colour(step: Step) -> bool:
    return step.op.effect.tones is not None


def _geometry(step: Step) -> bool:
    return step.op.fused in ("filter", "window")


PARTS: dict[str, Callable[[Step], bool]] = {
    "colours": _colour,
    "geometry": _geometry,
    "geometry and colours": lambda step: _geometry(step) or _colour(step),
    "blur": lambda step: step.op.tag() == "gaussian_blur",
    "whole": lambda step: True,
}
"""Which steps are looked at."""


@dataclass(frozen=True)
class Case:
    """What is rendered of a recipe.

    Attributes:
        recipe: its name.
        source: height and width of the images.
        part: which of `PARTS`; of the first view, but for the whole, which is of both.
    """

    recipe: str
    source: int
    part: str

    def pipeline(self) -> augspec.Pipeline:
        """The recipe's pipeline, on the GPU."""
        spec = augspec.load(ROOT / "specs" / "augmentations" / f"{self.recipe}.yaml")
        return augspec.compile(spec, backend="eager").cuda()

    def plan(self, plan: Plan) -> Plan:
        """The views and steps that are looked at."""
        kept = PARTS[self.part]
        views = (plan.view(name) for name in (VIEWS if self.part == "whole" else VIEWS[:1]))
        own = (replace(view, steps=tuple(filter(kept, view.steps))) for view in views)
        return replace(plan, views=tuple(own))


CASES = (
    Case("simclr-cifar10", 32, "colours"),
    Case("simclr-cifar10", 32, "geometry"),
    Case("simclr-cifar10", 32, "geometry and colours"),
    Case("simclr-cifar10", 32, "whole"),
    Case("simclr-imagenet", 224, "colours"),
    Case("simclr-imagenet", 256, "geometry"),
    Case("simclr-imagenet", 256, "geometry and colours"),
    Case("simclr-imagenet", 224, "blur"),
    Case("simclr-imagenet", 256, "whole"),
)
OUTPUTS = (
    Output(torch.float32, torch.contiguous_format),
    Output(torch.bfloat16, torch.channels_last),
)


def forms(plan: Plan, x: Tensor, params: Params, output: Output) -> dict[str, Callable[[], Views]]:
    """What renders; the normalisation's numbers are on the GPU, as a pipeline has them."""
    mean, std = (
        None if values is None else torch.tensor(values, device="cuda")[:, None, None]
        for values in (output.mean, output.std)
    )
    compiled = CompiledRenderer()

    def by_ops(render: Callable[..., Tensor]) -> Views:
        unit = unit_range(x)
        return {
            view.name: output.finish(render(view, unit, params[view.name]), mean, std)
            for view in plan.views
        }

    colours, everything = (TritonRenderer(plan, geometry=own) for own in (False, True))
    return {
        "eager": lambda: by_ops(render_eager),
        "compiled": lambda: by_ops(compiled.render),
        "triton, colours": lambda: colours.render(x, params, output),
        "triton": lambda: everything.render(x, params, output),
    }


def floor(images: Tensor, views: Views) -> Callable[[], Tensor]:
    """Moves the bytes of both, half of them in each direction."""
    moved = images.nbytes + sum(view.nbytes for view in views.values())
    source = torch.zeros(moved // 2, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def apart(found: Views, expected: Views) -> float:
    """The largest difference of a normalised pixel."""
    return max(
        float((found[name].float() - view.float()).abs().max()) for name, view in expected.items()
    )


def rows(batch: int, repeats: int) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| what | images | out | form | median ms | quartiles ms | x floor | difference |"
    yield "|---|---|---|---|--:|--:|--:|--:|"
    for case in CASES:
        pipeline = case.pipeline()
        plan = case.plan(pipeline.plan)
        generator = torch.Generator("cuda").manual_seed(0)
        shape = (batch, 3, case.source, case.source)
        x = torch.randint(0, 256, shape, generator=generator, device="cuda", dtype=torch.uint8)
        codes = pipeline.draw(torch.arange(batch, device="cuda"), 0, shape[-2:])
        decoded = pipeline.decode(codes, strict=None)
        params = {view.name: decoded[view.name] for view in plan.views}
        if why := refuses(x, params):
            sys.exit(f"error: backend 'triton' {why}")
        for plain in OUTPUTS:
            output = replace(plain, mean=pipeline.output.mean, std=pipeline.output.std)
            made = forms(plan, x, params, output)
            expected = made["eager"]()
            differences = {name: apart(call(), expected) for name, call in made.items()}
            calls: dict[str, Callable[[], object]] = {**made, "floor": floor(x, expected)}
            del expected
            times: dict[str, list[float]] = {name: [] for name in calls}
            for repeat in range(WARMING + repeats):
                for name, call in calls.items():
                    elapsed = milliseconds(call, x.device)
                    if repeat >= WARMING:
                        times[name].append(elapsed)
            found = {name: Quartiles.of(values) for name, values in times.items()}
            kind = "bfloat16, last" if output.dtype == torch.bfloat16 else "float32"
            for name, its in found.items():
                difference = f"{differences[name]:.1e}" if name in differences else "-"
                yield (
                    f"| {case.recipe}, {case.part} | {batch} x {case.source} | {kind} | {name} | "
                    f"{its.median:.3f} | {its.q1:.3f} to {its.q3:.3f} | "
                    f"{its.median / found['floor'].median:.1f} | {difference} |"
                )


def main() -> None:
    """Prints what was compared, where, and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256, help="images (default: 256)")
    parser.add_argument("--repeats", type=int, default=31, help="timed calls (default: 31)")
    given = parser.parse_args()
    for name, value in vars(given).items():
        if value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no CUDA GPU here, and Triton kernels are for those alone")
    try:
        version = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        sys.exit("error: the package triton is not installed")
    print(
        f"Views of noise, uint8; normalised. Difference: the largest from eager. 'triton, colours' "
        f"has kernels for those alone.\n"
        f"Python {platform.python_version()}, torch {torch.__version__}, triton "
        f"{version}, CUDA {torch.version.cuda}; {torch.cuda.get_device_name()}; "
        f"{processor()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores; "
        f"{given.repeats} repeats\n"
    )
    for line in rows(given.batch, given.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()
