from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from equimod.evaluation.knn import knn_accuracy


def clusters(
    seed: int, samples: int, classes: int = 5, spread: float = 1.5
) -> tuple[Tensor, Tensor]:
    """Overlapping clusters around centres that do not depend on the seed."""
    centres = torch.randn(classes, 16, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (samples,), generator=generator)
    return centres[y] + spread * torch.randn(samples, 16, generator=generator), y


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (50, 0.5)])
def test_agrees_with_scikit_learn(k: int, temperature: float) -> None:
    (train_x, train_y), (test_x, test_y) = clusters(0, 700), clusters(1, 300)
    reference = KNeighborsClassifier(
        n_neighbors=k,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / temperature),
    ).fit(train_x.numpy(), train_y.numpy())
    expected = 100 * reference.score(test_x.numpy(), test_y.numpy())
    ours = knn_accuracy(train_x, train_y, test_x, test_y, k=k, temperature=temperature)
    assert 30 < expected < 95  # neither trivial nor hopeless
    assert ours == pytest.approx(expected, abs=1e-9)


@given(chunk=st.integers(1, 70), scale=st.floats(1e-3, 1e3))
def test_chunks_and_scale_do_not_matter(chunk: int, scale: float) -> None:
    (train_x, train_y), (test_x, test_y) = clusters(2, 120), clusters(3, 60)
    whole = knn_accuracy(train_x, train_y, test_x, test_y, chunk=60)
    assert knn_accuracy(scale * train_x, train_y, test_x, test_y, chunk=chunk) == whole


def test_weights_decide_by_hand() -> None:
    # one neighbour at angle 0 of class 7 against two at 60 degrees of class 3
    half = math.sqrt(3) / 2
    train_x = torch.tensor([[1.0, 0.0], [0.5, half], [0.5, -half]])
    train_y, test_x, test_y = torch.tensor([7, 3, 3]), torch.tensor([[2.0, 0.0]]), torch.tensor([7])
    # exp(1 / T) against 2 exp(0.5 / T): equal at T = 0.5 / log 2 = 0.7213
    assert knn_accuracy(train_x, train_y, test_x, test_y, k=3, temperature=0.70) == 100
    assert knn_accuracy(train_x, train_y, test_x, test_y, k=3, temperature=0.74) == 0


def test_fewer_training_samples_than_k() -> None:
    x, y = torch.eye(3), torch.tensor([0, 1, 2])
    assert knn_accuracy(x, y, x, y, k=20) == 100


def test_ties_go_to_the_earlier_sample_and_the_lower_class() -> None:
    same = torch.ones(6, 4)  # a collapsed encoder: everything is equally near
    y = torch.tensor([4, 4, 4, 1, 1, 1])
    query, four, one = torch.ones(1, 4), torch.tensor([4]), torch.tensor([1])
    assert knn_accuracy(same, y, query, four, k=3) == 100
    assert knn_accuracy(same, y.flip(0), query, four, k=3) == 0
    assert knn_accuracy(same, y, query, one, k=6) == 100  # three votes each


def test_unlabelled_samples_neither_vote_nor_count() -> None:
    train_x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    test_x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    accuracy = knn_accuracy(train_x, torch.tensor([-1, 0, 1]), test_x, torch.tensor([0, -1]), k=1)
    assert accuracy == 100
    with pytest.raises(ValueError, match="k-NN, training split: none of the 3 samples has a label"):
        knn_accuracy(train_x, torch.full((3,), -1), test_x, torch.tensor([0, 1]))


def test_a_class_without_training_samples_counts_as_wrong() -> None:
    x = torch.eye(2)
    assert knn_accuracy(x, torch.tensor([0, 1]), x, torch.tensor([0, 5]), k=1) == 50
