"""How well a score ranks prompts for routing to a strong model; names as in RouteLLM (Ong et al. 2024, arXiv 2406.18665).
The published figures come from bench/routing, which runs the exported model; these here serve the choices made while training."""

import numpy as np


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties counting half (Mann-Whitney)."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def recovered_gap(scores: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """PGR after sending the k highest scores to the strong model, k = 0..n: 0 is the weak model's accuracy, 1 the strong one's. Ties share evenly."""
    gain = (strong - weak).astype(float)
    _, inverse, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    mean = np.bincount(inverse, gain) / counts
    return np.concatenate([[0.0], np.cumsum(np.repeat(mean, counts))]) / gain.sum()


def apgr(curve: np.ndarray) -> float:
    """Mean PGR over the share of strong calls (trapezoid); random mixing has 0.5."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def cpt(curve: np.ndarray, level: float) -> float:
    """Least share of strong calls that recovers `level` of the gap; random mixing needs `level`."""
    return float(np.argmax(curve >= level)) / (len(curve) - 1)


def subject_interval(measure, task: np.ndarray, samples: int = 500) -> tuple[float, float]:
    """95 % bootstrap interval of measure(indices) over whole subjects drawn with replacement."""
    random = np.random.default_rng(1)
    members = [np.flatnonzero(task == name) for name in np.unique(task)]
    drawn = [measure(np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])) for _ in range(samples)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
