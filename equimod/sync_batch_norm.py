"""Batch normalisation over the batch of all processes, on any device.

torch's `SyncBatchNorm` needs a GPU. On CPUs, each process would normalise its own part of the
batch, and a run would depend on how many processes share it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from equimod.distributed import all_sum, world_size


class SyncBatchNorm(_BatchNorm):
    """`nn.BatchNorm1d`, `2d` or `3d` whose statistics are those of all processes' batches together.

    With one process, or in eval mode, it is `nn.BatchNorm` bit for bit. The gradient is that of the
    sum of all processes' losses, which `DistributedDataParallel` turns into that of their mean.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected (N, C, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalises `(N, C, ...)`; every process must call it, equally often.

        Raises:
            ValueError: all processes together have one value per channel, which has no variance.
        """
        if not self.training or world_size() == 1:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        over = [0, *range(2, x.ndim)]
        own = x.new_full((1,), x.numel() / x.shape[1])
        total = all_sum(torch.cat([x.sum(over), own]))
        count = total[-1].detach()
        if count < 2:  # as torch does; on a CPU, nothing waits
            raise ValueError("expected more than 1 value per channel when training, got 1")
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean = total[:-1] / count
        centred = x - mean.view(shape)
        # of the deviations, not of the squares: these lose digits where the mean is large
        variance = all_sum(centred.square().sum(over)) / count
        self._track(mean.detach(), variance.detach() * (count / (count - 1)))
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Updates the running statistics, as `nn.BatchNorm` does."""
        if not self.track_running_stats or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronised(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with every batch norm synchronised: by torch's on a GPU, otherwise by this one.

    Weights, statistics and their names stay as they are.
    """
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    if isinstance(module, _BatchNorm):
        norm = SyncBatchNorm(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        # the very parameters: an optimiser or a target network may hold them already
        norm._parameters, norm._buffers = module._parameters, module._buffers
        return norm.train(module.training)
    for name, child in module.named_children():
        setattr(module, name, synchronised(child, device))
    return module
