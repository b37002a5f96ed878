"""Ten thousand mutated documents: each is a valid spec, or is refused with placed mistakes.

Never another exception, never more than 1 s of processor time (the text of the error included),
never more than 200 MB. The documents are made and checked by `fuzzing.py`, in processes of their
own which cannot take more memory than that; they are the same in every run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FUZZING = Path(__file__).parent / "fuzzing.py"
ROOT = FUZZING.parents[2]
CHUNKS = [("structure", first, 1500) for first in range(0, 6000, 1500)]
CHUNKS += [("bytes", first, 2000) for first in range(0, 4000, 2000)]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is limited and read as Linux does it"
)


def python(*arguments: str) -> Any:
    """What a Python process prints, read as JSON."""
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_there_are_ten_thousand_documents() -> None:
    assert sum(count for _, _, count in CHUNKS) == 10_000


@pytest.mark.parametrize(("kind", "first", "count"), CHUNKS)
def test_a_valid_spec_or_placed_mistakes(kind: str, first: int, count: int) -> None:
    found = python(str(FUZZING), kind, str(first), str(count))
    assert found["documents"] == count
    assert not found["failures"], "\n\n".join(found["failures"])
    assert found["slowest"][0] < 1.0
    assert found["bytes"] < 200_000_000
    # the mutations must not be so wild that only one side is met
    assert 0.02 * count < found["valid"] < 0.9 * count


@pytest.mark.parametrize("kind", ["fields", "worst"])
def test_extremes(kind: str) -> None:
    found = python(str(FUZZING.with_name("extremes.py")), kind)
    assert found["documents"] > 20
    assert not found["failures"], "\n\n".join(found["failures"])


CULPRITS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import fuzzing

def hang():
    while True:
        pass

fuzzing.prepare()
fuzzing.GIVE_UP = 0.2
culprits = iter([lambda: 1 / 0, hang, lambda: bytearray(300_000_000)])
fuzzing.augspec.load = lambda path: next(culprits)()
print(json.dumps(fuzzing.run(fuzzing.numbered("bytes", 0, 3))["failures"]))
"""


def test_a_document_that_raises_hangs_or_takes_memory_would_be_found() -> None:
    raised, hung, took = python("-c", CULPRITS, str(FUZZING.parent))
    assert "ZeroDivisionError" in raised
    assert "TimeoutError" in hung
    assert "MemoryError" in took
