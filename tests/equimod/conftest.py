"""A run that is over in a second, for the tests of configs, training and the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for `float64_steps`

SPEC = """\
version: 1
name: tiny-views
normalize: {mean: [0.5], std: [0.25]}
views:
  original: {ops: []}
  first: &view
    ops:
      - {op: resized_crop, size: 16, area: [0.4, 1.0]}
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
  second: *view
  flipped:
    ops:
      - {op: horizontal_flip, p: 0.5}
"""

RUN = """\
version: 1
name: tiny
seed: 3
augmentations: views.yaml
data: {source: shapes, train: 96, test: 64, size: 16}
encoder: {name: small}
method: {name: simclr, hidden: 16, dim: 8}
training:
  epochs: 2
  batch_size: 16
  optimizer: {name: sgd, lr: 0.05}
  warmup_epochs: 0.5
  log_every: 4
evaluation:
  knn: {k: 5}
  linear: {epochs: 2}
  equivariance: {retrieval: {images: 8, candidates: 3}}
  probe:
    {images: 32, steps: 3, batch_size: 16, hidden: 9, dim: 8, retrieval: {images: 8, candidates: 3}}
arms:
  simclr: {}
  simclr+equimod:
    equimod: {hidden: 16, dim: 8}
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of a run of two arms and 12 steps, with its spec beside it; read only."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "views.yaml").write_text(SPEC)
    (folder / "tiny.yaml").write_text(RUN)
    return folder / "tiny.yaml"


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order, as in the processes that tests start with OMP_NUM_THREADS=1."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
