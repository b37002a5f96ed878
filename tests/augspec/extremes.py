"""Documents that are listed, not drawn: extreme numbers in every field, and known worst cases.

    python tests/augspec/extremes.py fields|worst

See `fuzzing.py`, which checks them.
"""

from __future__ import annotations

import json
import sys

import fuzzing

from augspec.ops import OPS


def fields() -> list[bytes]:
    """Every field of every op, set to every extreme number, with and without a known image."""
    numbers = [v for v in fuzzing.ODD if isinstance(v, int | float) and not isinstance(v, bool)]
    found = []
    for tag, op in OPS.items():
        for name in op.model_fields:
            for value in [*fuzzing.EXTREMES, *numbers]:
                for known in ({}, {"image": {"size": [1, 100_000]}}):
                    ops = [{"op": tag, name: value}]
                    spec = {"version": 1, "name": "t", **known, "views": {"first": {"ops": ops}}}
                    found.append(json.dumps(spec).encode())
    return found


def nested_ops(tag: str, depth: int, inner: str = "{op: gaussian_blur}", more: str = "") -> bytes:
    """One op inside many others."""
    ops = f"{{op: {tag}, {more}ops: [" * depth + inner + "]}" * depth
    return f"version: 1\nname: t\nviews: {{first: {{ops: [{ops}]}}}}\n".encode()


def worst() -> list[bytes]:
    """Documents that were once too much, or look as if they could be."""
    head = "version: 1\nname: t\n"
    many = "{op: gaussian_blur, p: 0.5}, " * 600
    fanned = f"a: {{ops: [{many}]}}, b: {{like: a, count: 64}}"
    texts = [
        *(f"views: {{{fanned}}}\n", f"extends: {'a' * 5000}\n", "extends: [a]\n"),
        f"views: {{first: {{ops: [{{op: resize, size: {'9' * 350}}}]}}}}\n",
        f"views: {{first: {{ops: [{{op: solarize, threshold: 0x{'F' * 390}}}]}}}}\n",
        f"views: {{first: {{ops: [{'grayscale, ' * 3000}]}}}}\n",
        "views: {" + ", ".join(f"v{k}: {{count: 64, ops: []}}" for k in range(300)) + "}\n",
        "x: 1\n" * 5000,
    ]
    deep = [nested_ops(tag, depth) for tag in fuzzing.NESTS for depth in (3, 8, 40)]
    deep += [nested_ops("repeat", depth, more="times: 16, ") for depth in (2, 3, 8, 40)]
    return [*((head + text).encode() for text in texts), *deep]


if __name__ == "__main__":
    kind = sys.argv[1]
    documents = {"fields": fields, "worst": worst}[kind]()
    fuzzing.prepare()
    found = fuzzing.run((f"{kind} {number}", content) for number, content in enumerate(documents))
    print(json.dumps(found))
