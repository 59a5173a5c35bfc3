"""Cross-validation: the same training on other cuts of the rows that do not test."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from mlops_tui.core import metrics
from mlops_tui.core.features import learn, monotone
from mlops_tui.core.fitting import dataset, fit
from mlops_tui.core.material import Material, answers_on, calibrated, columns, encoded, skipped, take
from mlops_tui.core.scoring import Scorer, load, score
from mlops_tui.core.split import Ints, folds, held_out
from mlops_tui.records import Fold


def cross_validate(material: Material, scorer: Scorer, params: dict[str, Any], rounds: int) -> tuple[Fold, ...]:
    """Return each fold's metrics, trained for as many rounds as the model took, on features of its own rows.

    A fold of a binary task holds out rows of its own for calibration and threshold, as the model's training does: the
    model's own were chosen on rows that the folds test on.
    """
    settings, sets = material.settings, material.sets
    rest = np.sort(np.concatenate([sets.train, sets.validation]))
    looked_at = columns(settings, material.y[rest])
    pairs = folds(take(material.frame, rest), settings.split, looked_at, settings.train.seed)
    return tuple(_fold(material, scorer, params, (rest[train], rest[test]), rounds) for train, test in pairs)


def _fold(material: Material, scorer: Scorer, params: dict[str, Any], parts: tuple[Ints, Ints], rounds: int) -> Fold:
    settings = material.settings
    train, test = (material.in_queries(part) for part in parts)
    train, held = _held_out(material, train)
    transform = learn(take(material.frame, train), settings.features, skipped(settings), settings.target.column)
    own = {name: value for name, value in params.items() if name != "monotone_constraints"}
    if monotone(transform):
        own["monotone_constraints"] = monotone(transform)
    data = dataset(encoded(material, transform, train, balanced=True), transform, own)
    fitted = fit(data, None, own, (rounds, 0), lambda _: None)
    signature = replace(scorer.signature, threshold=_plain_threshold(material))
    fold_scorer = load(fitted.text, transform, signature, None, material.threads)
    if len(held):
        fold_scorer = calibrated(material, fold_scorer, held, score(fold_scorer, take(material.frame, held)))
    found = metrics.evaluate(answers_on(material, fold_scorer, test), seed=settings.train.seed)
    return Fold(len(train), len(test), tuple(one for one in found if isfinite(one.value)))


def _held_out(material: Material, train: Ints) -> tuple[Ints, Ints]:
    """A fold's rows that train, and those that calibrate: none where nothing is chosen, or rows are too few."""
    settings = material.settings
    fitted = settings.train.calibration != "none" or settings.train.threshold == "best_f1"
    if material.signature.task != "binary" or not fitted:
        return train, train[:0]
    looked_at = columns(settings, material.y[train])
    kept, held = held_out(take(material.frame, train), settings.split, looked_at, settings.train.seed)
    return train[kept], train[held]


def _plain_threshold(material: Material) -> float:
    chosen = material.settings.train.threshold
    return 0.5 if chosen == "best_f1" else float(chosen)
