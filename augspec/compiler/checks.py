"""Bad codes: which are refused, in which words, and which valid code is the nearest.

A slot is bad where

1. a column is NaN or infinite,
2. the columns stand for no parameter (`Codec.nearest`): a bit of 0.3, a point off the circle, two
   options at once, a cycle of precedences; or
3. the parameter is impossible (`Parameter.possible`, `Op.nearest`): a factor below 0, a box that
   leaves the image.

A code that no draw of the spec gives is not bad: a stronger jitter, two branches of a `one_of`.
Neither is one that is not canonical, such as the threshold of an op that is off: it says clearly
what is to be done. What rounding does is let pass (`Codec.slack`, `TOLERANCE`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augspec.compiler.plan import Step, ViewPlan
from augspec.encoding.codecs import Bit
from augspec.encoding.layout import Slot
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op
from augspec.ops.parameter import Parameter

TOLERANCE = 2e-6
"""How far a parameter may lie outside what is possible: what float32 and six written decimals do.
Nothing shows it: kernels draw the edge of a box that is as close to a pixel's edge as there."""

SHOWN = 5
"""How many bad slots an error lists."""


@dataclass(frozen=True)
class CodeFault:
    """A slot that is bad in some rows of a code.

    Attributes:
        view: the view's name.
        slot: the slot's name, such as `color_jitter.hue`.
        rows: the rows in which it is bad, from 0.
        value: the slot's columns in the first of them.
        message: all of that in one line, and what is allowed.
    """

    view: str
    slot: str
    rows: tuple[int, ...]
    value: tuple[float, ...]
    message: str

    @property
    def row(self) -> int:
        """The first bad row."""
        return self.rows[0]


class CodeError(ValueError):
    """Codes with bad slots.

    Attributes:
        faults: a fault for each bad slot, in the order of the views and of their columns.
    """

    def __init__(self, faults: Sequence[CodeFault]) -> None:
        self.faults = tuple(faults)
        lines = [fault.message for fault in self.faults[:SHOWN]]
        if len(self.faults) > SHOWN:
            lines.append(f"and {_count(len(self.faults) - SHOWN, 'further slot')} with bad rows")
        super().__init__("\n".join(lines))


class CodeWarning(UserWarning):
    """Codes had bad slots, and the nearest valid ones took their place."""


@dataclass(frozen=True)
class _Examined:
    """A slot, and what is wrong with its columns.

    Attributes:
        slot: the slot.
        step: the op that has it.
        parameter: what it holds.
        code: its columns `(B, width)` as they are.
        sensible: the nearest columns that stand for a parameter; `code` where it does.
        endless: `(B,)` bool, where a column is not finite.
        senseless: where the columns stand for no parameter.
        impossible: where the parameter is not possible.
        params: the step's parameters, by name, that the columns stand for.
        nearest: the nearest ones that are possible.
    """

    slot: Slot
    step: Step
    parameter: Parameter
    code: Tensor
    sensible: Tensor
    endless: Tensor
    senseless: Tensor
    impossible: Tensor
    params: Mapping[str, Tensor]
    nearest: Mapping[str, Tensor]

    @property
    def bad(self) -> Tensor:
        """Which rows are bad, `(B,)` bool."""
        return self.endless | self.senseless | self.impossible

    def fixed(self) -> Tensor:
        """The nearest valid columns `(B, width)`; `code` where it is valid."""
        possible = self.parameter.codec.encode(self.nearest[self.parameter.name])
        return possible.to(self.code.dtype).where(self.impossible[:, None], self.sensible)


def refuse_bad(codes: Sequence[tuple[ViewPlan, Tensor]]) -> None:
    """Looks for bad slots in codes `(B, E)`. On a GPU, the host waits for it.

    Raises:
        CodeError: there are some.
        ValueError: codes of a type that cannot hold them.
    """
    faults: list[CodeFault] = []
    for view, code in codes:
        examined = _examine(view, code)
        if _any_bad(examined):
            faults += [_fault(view.name, slot) for slot in examined if bool(slot.bad.any())]
    if faults:
        raise CodeError(faults)


def nearest_valid(codes: Sequence[tuple[ViewPlan, Tensor]]) -> list[tuple[ViewPlan, Tensor]]:
    """The codes `(B, E)`, with each bad slot replaced by the nearest that is valid.

    A slot that is not finite becomes 0, the identity. All else stays as it is, bit for bit, and so
    does the gradient there. A warning for each view says what was changed; nothing was without one.
    On a GPU, the host waits for it.

    Raises:
        ValueError: codes of a type that cannot hold them.
    """
    found = []
    for view, code in codes:
        examined = _examine(view, code)
        if _any_bad(examined):
            bad = torch.cat([slot.bad[:, None].expand_as(slot.code) for slot in examined], dim=-1)
            fixed = torch.cat([slot.fixed() for slot in examined], dim=-1)
            found.append((view, torch.where(bad, fixed, code)))
            # the third level is who called `decode`
            warnings.warn(_changed(view.name, examined), CodeWarning, stacklevel=3)
        else:
            found.append((view, code))
    return found


@torch.no_grad()
def _examine(view: ViewPlan, code: Tensor) -> list[_Examined]:
    """Every slot of a view's code."""
    if code.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"codes of view {view.name!r} must be float32 or float64, got {code.dtype}, which "
            "does not hold every code"
        )
    slots = iter(view.layout.slots)
    found: list[_Examined] = []
    for step in view.steps:
        own = [p for p in step.op.parameters() if p.codec.width]
        if own:
            columns = code.detach()[:, slice(*step.columns)]
            parts = columns.split([p.codec.width for p in own], dim=-1)
            found += _examine_step(step, own, [next(slots) for _ in own], parts)
    return found


def _examine_step(
    step: Step, own: Sequence[Parameter], slots: Sequence[Slot], parts: Sequence[Tensor]
) -> list[_Examined]:
    endless = [~part.isfinite().all(dim=-1) for part in parts]
    finite = [part.where(~off[:, None], 0.0) for part, off in zip(parts, endless, strict=True)]
    sensible, senseless = [], []
    for p, part in zip(own, finite, strict=True):
        nearest = p.codec.nearest(part)
        off = ((nearest - part).abs() > p.codec.slack).any(dim=-1)
        senseless.append(off)
        sensible.append(nearest.where(off[:, None], part))
    params = step.op.decode(torch.cat(sensible, dim=-1))
    possible = step.op.nearest(params)
    return [
        _Examined(
            slot=slots[k],
            step=step,
            parameter=p,
            code=parts[k],
            sensible=sensible[k],
            endless=endless[k],
            senseless=senseless[k],
            impossible=(possible[p.name] - params[p.name]).abs() > TOLERANCE,
            params=params,
            nearest=possible,
        )
        for k, p in enumerate(own)
    ]


def _any_bad(examined: Sequence[_Examined]) -> bool:
    """Whether any row of any slot is bad: one question to the device for all of them."""
    return bool(examined) and bool(torch.stack([slot.bad for slot in examined]).any())


def _changed(view: str, examined: Sequence[_Examined]) -> str:
    """How many rows of a view's code were changed, and in which slots."""
    bad = torch.stack([slot.bad for slot in examined])
    names = [slot.slot.name for slot, own in zip(examined, bad, strict=True) if bool(own.any())]
    shown = ", ".join(names[:SHOWN] + (["..."] if len(names) > SHOWN else []))
    rows = f"{int(bad.any(dim=0).sum())} of {_count(bad.shape[1], 'row')}"
    return f"code of view {view!r}: {rows} changed to the nearest valid code, in {shown}"


def _fault(view: str, slot: _Examined) -> CodeFault:
    rows = slot.bad.nonzero()[:, 0].tolist()
    value = slot.code[rows[0]].tolist()
    further = f" (and {_count(len(rows) - 1, 'further row')})" if len(rows) > 1 else ""
    message = f"code of view {view!r}, row {rows[0]}: {slot.slot.name} is "
    message += _wrong(slot, rows[0], value) + further
    return CodeFault(view, slot.slot.name, tuple(rows), tuple(value), message)


def _wrong(slot: _Examined, row: int, value: Sequence[float]) -> str:
    """What a slot is in this row, and what it must be."""
    parameter, codec = slot.parameter, slot.parameter.codec
    names = zip(codec.columns, value, strict=True)
    columns = ", ".join(f"{name} {_number(v)}".strip() for name, v in names)
    if slot.endless[row]:
        return f"{columns}, and must be finite"
    if slot.senseless[row]:
        between = isinstance(codec, Bit) and 0 < value[0] < 1
        hint = "; strict=None takes a code that is being optimised as it is" if between else ""
        return f"{columns}, and must be {codec.allowed}{hint}"
    got, nearest = (float(p[parameter.name][row]) for p in (slot.params, slot.nearest))
    said = _number(got)
    if len(value) != 1 or not math.isclose(got, value[0], abs_tol=1e-12):
        said += f" (coded as {columns})"
    low, high = parameter.possible
    if not low - TOLERANCE <= got <= high + TOLERANCE:
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        return f"{said}, and must be {bounds}"
    op, prefix = _home(slot.step.op, parameter.name)
    beside = {
        name.removeprefix(prefix): float(values[row])
        for name, values in slot.params.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    together = ", ".join(f"{n} {_number(v)}" for n, v in beside.items() if n not in op.seeds)
    limits = op.limits or "the parameters do not go together"
    return f"{said}, and {limits}, got {together}: the nearest is {_number(nearest)}"


def _home(op: Op, name: str, prefix: str = "") -> tuple[Op, str]:
    """The op, itself or inside, that has the parameter, and what stands before its own names."""
    first, _, rest = name.partition(".")
    if isinstance(op, Combinator) and rest:
        return _home(dict(op.children)[first], rest, f"{prefix}{first}.")
    return op, prefix


def _number(value: float) -> str:
    # six decimals tell apart what the tolerances do, and hide what float32 adds
    return f"{round(value, 6) + 0.0:.7g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
