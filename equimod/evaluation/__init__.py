"""Evaluation of frozen encoders: k-NN, linear classifier, equivariance measures and probe."""

from equimod.evaluation.collapse import collapse_metrics, mean_deviation, rankme
from equimod.evaluation.embedder import Embedder
from equimod.evaluation.equivariance import (
    EquivarianceMeasures,
    RetrievalMeasures,
    equivariance_measures,
    retrieval,
)
from equimod.evaluation.features import BatchSource, ImageBatch, evaluating, extract
from equimod.evaluation.knn import KNNConfig, knn_accuracy
from equimod.evaluation.linear import (
    LinearConfig,
    LinearResult,
    linear_accuracies,
    linear_accuracy,
)
from equimod.evaluation.probe import ProbeConfig, ProbeResult, probe
from equimod.evaluation.rendered import (
    EquivarianceConfig,
    EquivarianceResult,
    RetrievalConfig,
    evaluate_head,
    measure,
    measure_retrieval,
    per_augmentation,
)
from equimod.evaluation.shuffled import gain_over_shuffled, shuffled_gain

__all__ = [
    "BatchSource",
    "Embedder",
    "EquivarianceConfig",
    "EquivarianceMeasures",
    "EquivarianceResult",
    "ImageBatch",
    "KNNConfig",
    "LinearConfig",
    "LinearResult",
    "ProbeConfig",
    "ProbeResult",
    "RetrievalConfig",
    "RetrievalMeasures",
    "collapse_metrics",
    "equivariance_measures",
    "evaluate_head",
    "evaluating",
    "extract",
    "gain_over_shuffled",
    "knn_accuracy",
    "linear_accuracies",
    "linear_accuracy",
    "mean_deviation",
    "measure",
    "measure_retrieval",
    "per_augmentation",
    "probe",
    "rankme",
    "retrieval",
    "shuffled_gain",
]
