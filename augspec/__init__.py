"""A typed augmentation language, compiled into batched pipelines that emit canonical codes.

    spec = augspec.load("specs/augmentations/byol-cifar10.yaml")
    pipeline = augspec.compile(spec)
    batch = pipeline(images, ids=ids, epoch=3)

Names are resolved on first use, so that loading and checking a spec never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augspec.codes.action import act, invertible, overlap
    from augspec.codes.exchange import load_batch, save_batch
    from augspec.codes.moments import moments
    from augspec.codes.paths import interpolate, jumps
    from augspec.codes.record import draw_batch
    from augspec.codes.relative import RelativeCode, compose, element, inverse, relative
    from augspec.codes.relative_layout import RelativeLayout
    from augspec.codes.replay import Replayed, replay
    from augspec.codes.saved import ExchangeError, SavedBatch
    from augspec.codes.statistics import ColumnStatistics
    from augspec.compiler import compile, load_pipeline, make_plan
    from augspec.compiler.backends import Backend
    from augspec.compiler.checks import CodeError, CodeFault, CodeWarning
    from augspec.compiler.geometry import geometry
    from augspec.compiler.pipeline import Pipeline, ViewBatch
    from augspec.compiler.plan import Plan
    from augspec.compiler.split import DevicePart, HostBatch, HostPart
    from augspec.encoding.evolution import ChangedSlot, SlotMap, slot_map
    from augspec.encoding.layout import Layout, LayoutMismatchError, Slot
    from augspec.formats.contract import Format, FormatError
    from augspec.formats.encode import encode_as, format_columns
    from augspec.formats.moments import format_moments
    from augspec.kernels.ragged import Ragged, sizes_of
    from augspec.language.diagnostics import Diagnostic, Position, SpecError, meant, nearest
    from augspec.language.document import (
        DocumentModel,
        Fault,
        Faults,
        fault,
        load_model,
        loads_model,
        validate,
    )
    from augspec.language.files import write_atomically
    from augspec.language.origins import load_resolved, resolved_text
    from augspec.language.resolve import override
    from augspec.language.schema_shape import for_editors
    from augspec.language.source import Source, overlay, parse_source, read_source, subtree, without
    from augspec.language.spec import Spec, load, loads
    from augspec.language.versions import migrate

_HOMES = {
    "augspec.codes.action": ("act", "invertible", "overlap"),
    "augspec.codes.exchange": ("load_batch", "save_batch"),
    "augspec.codes.moments": ("moments",),
    "augspec.codes.paths": ("interpolate", "jumps"),
    "augspec.codes.record": ("draw_batch",),
    "augspec.codes.relative": ("RelativeCode", "compose", "element", "inverse", "relative"),
    "augspec.codes.relative_layout": ("RelativeLayout",),
    "augspec.codes.replay": ("Replayed", "replay"),
    "augspec.codes.saved": ("ExchangeError", "SavedBatch"),
    "augspec.codes.statistics": ("ColumnStatistics",),
    "augspec.compiler": ("compile", "load_pipeline", "make_plan"),
    "augspec.compiler.backends": ("Backend",),
    "augspec.compiler.checks": ("CodeError", "CodeFault", "CodeWarning"),
    "augspec.compiler.geometry": ("geometry",),
    "augspec.compiler.pipeline": ("Pipeline", "ViewBatch"),
    "augspec.compiler.plan": ("Plan",),
    "augspec.compiler.split": ("DevicePart", "HostBatch", "HostPart"),
    "augspec.encoding.evolution": ("ChangedSlot", "SlotMap", "slot_map"),
    "augspec.encoding.layout": ("Layout", "LayoutMismatchError", "Slot"),
    "augspec.formats.contract": ("Format", "FormatError"),
    "augspec.formats.encode": ("encode_as", "format_columns"),
    "augspec.formats.moments": ("format_moments",),
    "augspec.kernels.ragged": ("Ragged", "sizes_of"),
    "augspec.language.diagnostics": ("Diagnostic", "Position", "SpecError", "meant", "nearest"),
    "augspec.language.document": (
        "DocumentModel",
        "Fault",
        "Faults",
        "fault",
        "load_model",
        "loads_model",
        "validate",
    ),
    "augspec.language.files": ("write_atomically",),
    "augspec.language.origins": ("load_resolved", "resolved_text"),
    "augspec.language.resolve": ("override",),
    "augspec.language.schema_shape": ("for_editors",),
    "augspec.language.source": (
        "Source",
        "overlay",
        "parse_source",
        "read_source",
        "subtree",
        "without",
    ),
    "augspec.language.spec": ("Spec", "load", "loads"),
    "augspec.language.versions": ("migrate",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'augspec' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
