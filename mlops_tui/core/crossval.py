"""Cross-validation: the same training on other cuts of the rows that do not test."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from mlops_tui.core import metrics
from mlops_tui.core.features import learn, monotone
from mlops_tui.core.fitting import dataset, fit
from mlops_tui.core.material import Material, answers_on, columns, encoded, skipped, take
from mlops_tui.core.scoring import Scorer, load
from mlops_tui.core.split import Ints, folds
from mlops_tui.records import Fold


def cross_validate(material: Material, scorer: Scorer, params: dict[str, Any], rounds: int) -> tuple[Fold, ...]:
    """Return each fold's metrics, trained for as many rounds as the model took, on features of its own rows."""
    settings, sets = material.settings, material.sets
    rest = np.sort(np.concatenate([sets.train, sets.validation]))
    looked_at = columns(settings, material.y[rest])
    pairs = folds(take(material.frame, rest), settings.split, looked_at, settings.train.seed)
    return tuple(_fold(material, scorer, params, (rest[train], rest[test]), rounds) for train, test in pairs)


def _fold(material: Material, scorer: Scorer, params: dict[str, Any], parts: tuple[Ints, Ints], rounds: int) -> Fold:
    settings = material.settings
    train, test = (material.in_queries(part) for part in parts)
    transform = learn(take(material.frame, train), settings.features, skipped(settings), settings.target.column)
    own = {name: value for name, value in params.items() if name != "monotone_constraints"}
    if monotone(transform):
        own["monotone_constraints"] = monotone(transform)
    data = dataset(encoded(material, transform, train, balanced=True), transform, own)
    fitted = fit(data, None, own, (rounds, 0), lambda _: None)
    fold_scorer = load(fitted.text, transform, scorer.signature, scorer.calibration, material.threads)
    found = metrics.evaluate(answers_on(material, fold_scorer, test), seed=settings.train.seed)
    return Fold(len(train), len(test), tuple(one for one in found if isfinite(one.value)))
