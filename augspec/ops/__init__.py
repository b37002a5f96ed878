"""The ops: one file each, found here automatically and listed nowhere else."""

from augspec.ops.registry import OPS, AnyOp

__all__ = ["OPS", "AnyOp"]
