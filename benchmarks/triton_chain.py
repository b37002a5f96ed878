"""The Triton kernel for colours beside the reference and `torch.compile`, on a CUDA GPU.

    python benchmarks/triton_chain.py

For SimCLR's recipes on CIFAR and ImageNet, a view of noise, uint8, as float32 and as bfloat16 with
the channels last: first the run of colour steps alone, with the normalisation, then the whole view.
Times are of interleaved repeats on the GPU, from the start of the first kernel to the end of the
last one, with the waits for the host between them; the parameters are drawn before. The floor moves
as many bytes as the images and the view have. About a minute, much of it compilation.
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
from pipeline_bench.workloads import ROOT
from torch import Tensor

import augspec
from augspec.compiler.compiled import CompiledRenderer
from augspec.compiler.eager import render_eager, unit_range
from augspec.compiler.output import Output
from augspec.compiler.plan import ViewPlan
from augspec.compiler.triton import TritonRenderer, refuses

WARMING = 3
VIEW = "first"


@dataclass(frozen=True)
class Case:
    """What is rendered: a recipe's first view.

    Attributes:
        recipe: its name.
        source: height and width of the images.
        whole: whether all of the view is, or its colours alone.
    """

    recipe: str
    source: int
    whole: bool

    def pipeline(self) -> augspec.Pipeline:
        """The recipe's pipeline, on the GPU."""
        spec = augspec.load(ROOT / "specs" / "augmentations" / f"{self.recipe}.yaml")
        return augspec.compile(spec, backend="eager").cuda()

    def view(self, pipeline: augspec.Pipeline) -> ViewPlan:
        """The view, or the part of it that is looked at."""
        view = pipeline.plan.view(VIEW)
        if self.whole:
            return view
        return replace(view, steps=tuple(s for s in view.steps if s.op.effect.tones is not None))


CASES = (
    Case("simclr-cifar10", 32, whole=False),
    Case("simclr-cifar10", 32, whole=True),
    Case("simclr-imagenet", 224, whole=False),
    Case("simclr-imagenet", 256, whole=True),
)
OUTPUTS = (
    Output(torch.float32, torch.contiguous_format),
    Output(torch.bfloat16, torch.channels_last),
)


def forms(
    view: ViewPlan, x: Tensor, params: Mapping[str, Tensor], output: Output
) -> dict[str, Callable[[], Tensor]]:
    """What renders the view; the normalisation's numbers are on the GPU, as a pipeline has them."""
    mean, std = (
        None if values is None else torch.tensor(values, device="cuda")[:, None, None]
        for values in (output.mean, output.std)
    )
    compiled, triton = CompiledRenderer(), TritonRenderer()
    return {
        "eager": lambda: output.finish(render_eager(view, unit_range(x), params), mean, std),
        "compiled": lambda: output.finish(compiled.render(view, unit_range(x), params), mean, std),
        "triton": lambda: triton.render(view, x, params, output),
    }


def floor(images: Tensor, view: Tensor) -> Callable[[], Tensor]:
    """Moves the bytes of both, half of them in each direction."""
    source = torch.zeros((images.nbytes + view.nbytes) // 2, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def rows(batch: int, repeats: int) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| view | images | out | form | median ms | quartiles ms | x floor | difference |"
    yield "|---|---|---|---|--:|--:|--:|--:|"
    for case in CASES:
        pipeline = case.pipeline()
        view = case.view(pipeline)
        generator = torch.Generator("cuda").manual_seed(0)
        shape = (batch, 3, case.source, case.source)
        x = torch.randint(0, 256, shape, generator=generator, device="cuda", dtype=torch.uint8)
        ids = torch.arange(batch, device="cuda")
        params = pipeline.decode(pipeline.draw(ids, 0, shape[-2:]), strict=None)[VIEW]
        if why := refuses(x, {VIEW: params}):
            sys.exit(f"error: backend 'triton' {why}")
        for plain in OUTPUTS:
            output = replace(plain, mean=pipeline.output.mean, std=pipeline.output.std)
            calls = forms(view, x, params, output)
            expected = calls["eager"]()
            calls["floor"] = floor(x, expected)
            apart = {
                name: float((calls[name]().float() - expected.float()).abs().max())
                for name in ("compiled", "triton")
            }
            times: dict[str, list[float]] = {name: [] for name in calls}
            for repeat in range(WARMING + repeats):
                for name, call in calls.items():
                    elapsed = milliseconds(call, x.device)
                    if repeat >= WARMING:
                        times[name].append(elapsed)
            found = {name: Quartiles.of(values) for name, values in times.items()}
            what = f"{case.recipe}, {'whole' if case.whole else 'colours'}"
            kind = "bfloat16, last" if output.dtype == torch.bfloat16 else "float32"
            for name, its in found.items():
                difference = f"{apart[name]:.1e}" if name in apart else "-"
                yield (
                    f"| {what} | {batch} x {case.source} | {kind} | {name} | {its.median:.3f} | "
                    f"{its.q1:.3f} to {its.q3:.3f} | {its.median / found['floor'].median:.1f} | "
                    f"{difference} |"
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
        sys.exit("error: PyTorch finds no CUDA GPU here, and the Triton kernel is for those alone")
    try:
        version = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        sys.exit("error: the package triton is not installed")
    print(
        f"One view of noise, uint8; normalised. Difference: the largest from eager.\n"
        f"Python {platform.python_version()}, torch {torch.__version__}, triton "
        f"{version}, CUDA {torch.version.cuda}; {torch.cuda.get_device_name()}; "
        f"{processor()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores; "
        f"{given.repeats} repeats\n"
    )
    for line in rows(given.batch, given.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()
