"""Parameters in short human form: `color_jitter  brightness ×1.21, hue +11°`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from augspec.encoding.codecs import Bit, Category, Order, Uncoded
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, Size
from augspec.ops.parameter import Parameter
from augspec.preview.text import MINUS, TIMES

Drawn: TypeAlias = Mapping[str, float]
"""One sample's parameters of one op."""

_RELATIVE = ("height", "width", "mean")
"""What the units of parameters end in that are fractions, and read best in per cent."""


def value_words(parameter: Parameter, value: float, size: Size) -> str:
    """A value with its unit, such as `+11°`, `×1.21`, `62%` or `1.8 px`; its name stands elsewhere.

    Args:
        parameter: the parameter.
        value: its value.
        size: the size of the image that reaches the op.
    """
    unit = parameter.unit
    signed = "+" if value and parameter.low is not None and parameter.low < 0 else ""
    if isinstance(parameter.codec, Bit):
        text = "yes" if value > 0.5 else "no"
    elif isinstance(parameter.codec, Category) and parameter.codec.labels and value:
        text = parameter.codec.labels[round(value) - 1]
    elif unit == "shorter side":
        pixels = value * min(size)
        text = f"{pixels:{signed}.{1 if abs(pixels) >= 10 else 2}f} px"
    elif unit == "turn":
        degrees = 360 * value
        text = f"{degrees:{signed}.{0 if abs(degrees) >= 10 or not value else 1}f}°"
    elif unit in ("factor", "gain"):
        text = f"{TIMES}{value:.2f}"
    elif unit.endswith(_RELATIVE):
        text = f"{100 * value:{signed}.{0 if abs(value) >= 0.1 or not value else 1}f}%"
    else:
        text = f"{value:.3g}"
    return text.replace("-", MINUS)


def acting(
    path: str, op: Op, params: Drawn, changed: Mapping[str, bool], size: Size
) -> Iterator[tuple[str, str]]:
    """The ops that act on one sample, each with its parameters in words.

    Args:
        path: the op's id, after those of the combinators that it is in.
        op: the op.
        params: the sample's own parameters of the op.
        changed: for each of them, whether it differs from its identity.
        size: the size of the image that reaches the op.
    """
    if not isinstance(op, Combinator):
        parameters = op.parameters(size)
        if any(changed[p.name] and not isinstance(p.codec, Order | Uncoded) for p in parameters):
            yield path, ", ".join(_leaf(op, parameters, params, changed, size))
        elif not parameters:
            yield path, ""  # what draws nothing always acts
        return
    own = {p.name: p for p in op.own_parameters()}
    shown = [
        f"{name} {value_words(p, params[name], size)}"
        for name, p in own.items()
        if changed[name] and not isinstance(p.codec, Order)
    ]
    inner: list[tuple[str, str]] = []
    active: list[str] = []
    for name, child in op.children:
        prefix = f"{name}."
        part = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        moved = {k.removeprefix(prefix): v for k, v in changed.items() if k.startswith(prefix)}
        found = list(acting(path + "." + name, child, part, moved, size))
        inner += found
        active += [name] if found else []
        size = child.output_size(size)
    shown += _order(op, params, active)
    if shown and inner:
        yield path, ", ".join(shown)
    yield from inner


def _leaf(
    op: Op,
    parameters: tuple[Parameter, ...],
    params: Drawn,
    changed: Mapping[str, bool],
    size: Size,
) -> Iterator[str]:
    bits = [p for p in parameters if isinstance(p.codec, Bit)]
    plain = [p for p in parameters if not isinstance(p.codec, Bit | Order | Uncoded)]
    for parameter in bits:
        if changed[parameter.name] and len(bits) > 1:
            yield parameter.name
    for parameter in plain:
        # where a switch is on, the rest says how, the identity's own value included
        if changed[parameter.name] or bits:
            yield f"{parameter.name} {value_words(parameter, params[parameter.name], size)}"
    yield from _order(op, params, [p.name for p in plain if changed[p.name]])


def steps(op: Op) -> list[str]:
    """What an order among the op's parameters is an order of: its ops, or its other parameters."""
    if isinstance(op, Combinator):
        return [name for name, _ in op.children]
    return [p.name for p in op.parameters() if not isinstance(p.codec, Bit | Order | Uncoded)]


def ordered(names: Sequence[str], codec: Order, index: float) -> list[str]:
    """The steps in the order that a parameter of this codec stands for."""
    import torch

    order = codec.permutation(torch.tensor([index], dtype=torch.float64))[0]
    return [names[k] for k in order.tolist()]


def _order(op: Op, params: Drawn, active: list[str]) -> Iterator[str]:
    """The order in which those steps act that do anything, if it is drawn and there are two."""
    own, names = op.own_parameters() if isinstance(op, Combinator) else op.parameters(), steps(op)
    for parameter in own:
        codec = parameter.codec
        if isinstance(codec, Order) and codec.count == len(names) and len(active) > 1:
            found = ordered(names, codec, params[parameter.name])
            yield "order " + " > ".join(name for name in found if name in active)
