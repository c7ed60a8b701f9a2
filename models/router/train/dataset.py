"""The labelled prompts, cleaned of what only this data set has, and the split by subject."""

import csv
import gzip
import re
from dataclasses import dataclass

import numpy as np

from features import fnv1a

FOLDS = 5
HELD_OUT = 0
"""The fold that nothing is trained, chosen or calibrated on."""


@dataclass
class Prompts:
    task: np.ndarray
    """Subject, or gsm8k."""
    text: list[str]
    weak: np.ndarray
    """1 where the weak model was right."""
    strong: np.ndarray
    fold: np.ndarray


def fold_of(task: str, raw_prompt: str) -> int:
    """Whole subjects fall into one fold by the hash of their name; GSM8K, one task, is split by the hash of the prompt."""
    return fnv1a((raw_prompt if task == "gsm8k" else task).encode()) % FOLDS


def clean(task: str, prompt: str) -> str:
    """Most of GSM8K's prompts are stored in quotes, and MMLU's end in "Answer:": a model that saw these would learn the data set's name."""
    if task == "gsm8k":
        quoted = re.fullmatch(r"(['\"])(.*)\1", prompt.strip(), re.DOTALL)
        return re.sub(r"\\(['\"])", r"\1", quoted[2].replace("\\n", "\n")).strip() if quoted else prompt.strip()
    return re.sub(r"\s*Answer:\s*$", "", prompt)


def without_options(text: str) -> str:
    """The bare question, as a person would ask it."""
    return text.split("\nA. ")[0]


def load(path: str) -> Prompts:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    column = lambda name: np.array([int(float(row[name])) for row in rows])
    return Prompts(
        task=np.array([row["task"] for row in rows]),
        text=[clean(row["task"], row["prompt"]) for row in rows],
        weak=column("weak_correct"),
        strong=column("strong_correct"),
        fold=np.array([fold_of(row["task"], row["prompt"]) for row in rows]),
    )
