"""The memory of a training step, found without the memory: every tensor has a shape and no data."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from equimod.training.learner import Learner


@dataclass(frozen=True)
class StepMemory:
    """Bytes of the tensors of one process in a step.

    Attributes:
        weights: parameters and buffers, those of a target network and statistics included.
        gradients: of the trainable parameters.
        optimizer: the optimiser's state.
        peak: the most that is alive at once. What is not a tensor is not counted, such as a CUDA
            context and a convolution's workspace, nor is what rendering the views takes in between.
    """

    weights: int
    gradients: int
    optimizer: int
    peak: int

    @property
    def rest(self) -> int:
        """At the peak, what is none of them: mostly what the backward pass needs of the views."""
        return self.peak - self.weights - self.gradients - self.optimizer

    def shared(self, processes: int, strategy: Literal["ddp", "fsdp"]) -> StepMemory:
        """The same of each of several processes that compute with the same number of images.

        `ddp` keeps gradients a second time, in the buckets that it sends. `fsdp` shares out all but
        the rest, in equal parts; blocks of whole weights, gathered for a moment, are left out.
        """
        if processes == 1:
            return self
        if strategy == "ddp":
            return replace(self, gradients=2 * self.gradients, peak=self.peak + self.gradients)
        held = (self.weights, self.gradients, self.optimizer)
        weights, gradients, optimizer = (-(-size // processes) for size in held)
        return StepMemory(
            weights, gradients, optimizer, self.rest + weights + gradients + optimizer
        )


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that are alive, from each operation's results on."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._seen: set[int] = set()

    def add(self, tensors: Iterable[Tensor]) -> int:
        """Counts the storages of tensors, once each; gives the bytes that were new."""
        before = self.alive
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._seen:
                self._seen.add(key)
                self.alive += size
                weakref.finalize(storage, self._end, key, size)
        self.peak = max(self.peak, self.alive)
        return self.alive - before

    def _end(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.alive -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and counts what it gives."""
        results = func(*args, **(kwargs or {}))
        self.add(leaf for leaf in tree_leaves(results) if isinstance(leaf, Tensor))
        return results


def hollow(build: Callable[[], Learner]) -> tuple[Learner, FakeTensorMode]:
    """The modules that `build` gives, with weights that have shapes and no data.

    Returns:
        The modules on a pretended CPU, and the mode in which they compute.
    """
    # what is weighed is mixed with real numbers, such as the moments of codes
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # not in the mode, whose tensors cannot be copied as a target network is
    with torch.device("meta"):
        learner = build()
    with mode:
        learner.to_empty(device="cpu")
    return learner, mode


def step_memory(
    learner: Learner,
    mode: FakeTensorMode,
    optimizer: Optimizer,
    inputs: Sequence[Any],
    rows: int,
    source_bytes: int,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> StepMemory:
    """Takes a whole step on tensors without data and watches how many bytes are alive.

    It is a later step, with old gradients and the optimiser's state in the way. Exact for the
    tensors that the modules make, but on a GPU some kernels keep a little more or less; embeddings
    that come from other processes are left out.

    Args:
        learner: see `hollow`.
        mode: the same.
        optimizer: of the learner's parameters; it has taken no step.
        inputs: what the learner is called with, for any number of images.
        rows: how many images there are to be.
        source_bytes: of one image as it is read.
        autocast: the precision of the forward pass.
    """
    live = LiveBytes()
    trained = [p for p in learner.parameters() if p.requires_grad]
    weights = live.add([*learner.parameters(), *learner.buffers()])
    with mode, live:
        # as another step has left them: old gradients stay until the backward pass begins
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
        gradients = live.alive - weights
        optimizer.step()
        state = live.alive - weights - gradients
        live.peak = live.alive

        source = torch.empty(rows, source_bytes, dtype=torch.uint8)
        given = tree_map_only(
            Tensor, lambda x: torch.empty(rows, *x.shape[1:], dtype=x.dtype), list(inputs)
        )
        with autocast():
            losses = learner(*given)
        del given
        optimizer.zero_grad()
        losses["loss"].backward()
        learner.method.before_step(0.5)
        optimizer.step()
        learner.method.after_step(0.5)
        del source
    return StepMemory(weights, gradients, state, live.peak)


@contextmanager
def watched_widths(learner: Learner) -> Iterator[dict[str, int]]:
    """The width of what encoder and projectors give, by module: filled in while they compute."""
    found: dict[str, int] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def watch(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found[name] = output.shape[-1]

        return watch

    with ExitStack() as hooks:
        for name, part in learner.named_children():
            projector = part if name == "encoder" else getattr(part, "projector", None)
            if isinstance(projector, nn.Module):
                hook = projector.register_forward_hook(note(name))
                hooks.callback(hook.remove)
        yield found
