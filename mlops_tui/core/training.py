"""One training, whole: labelled rows → sets → features → trees → calibration → what a model version keeps.

Pure: the clocks are arguments, and with the same frame, settings and threads every byte comes out the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core import metrics, samples
from mlops_tui.core.crossval import cross_validate
from mlops_tui.core.features import choose, input_columns, learn, learn_inputs
from mlops_tui.core.fitting import Fitted, Report, dataset, fit, parameters, search, shares
from mlops_tui.core.material import Material, answers_on, calibrated, encoded, prepare, skipped, take
from mlops_tui.core.scoring import Scorer, load, score
from mlops_tui.core.split import Ints, Sets
from mlops_tui.records import (
    Calibration,
    Golden,
    Metric,
    Progress,
    RunDetails,
    Signature,
    Transform,
)

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile

Floats = NDArray[np.float64]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gives: the pieces of a model version, and the answers on its test rows."""

    booster: str
    transform: Transform
    signature: Signature
    calibration: Calibration | None
    details: RunDetails
    rows: pl.DataFrame  # row: Int64, number in the frame given; set: String
    reference: pl.DataFrame
    golden: Golden
    test: metrics.Answers


def _silent(_: Progress) -> None:
    """Tell nobody."""


def train(
    frame: pl.DataFrame,
    settings: PipelineFile,
    *,
    threads: int,
    report: Report = _silent,
    cpu: Clock = lambda: 0.0,
    clock: Clock | None = None,
) -> Trained:
    """Return the model that the settings and the frame's rows give; raises InvalidInput where they do not fit.

    `cpu` is read between the steps for their timings; `clock` (by default `cpu`) bounds a search's timeout.
    """
    watch = _Watch(cpu, report)
    watch.step("split", "which rows train, validate and test")
    material, kept, messages = prepare(frame, settings, threads)
    sets = material.sets
    watch.step("features", f"{len(sets.train)} rows to train on")
    transform = learn(take(material.frame, sets.train), settings.features, skipped(settings), settings.target.column)
    samples.check_names((*input_columns(transform), *_extras(material)))
    params = parameters(settings, transform, (len(sets.train), len(material.signature.classes), threads))
    messages += _left_out(material, transform)
    fitted, params, tried = _grow(material, transform, params, watch, clock or cpu)
    messages += tried
    watch.step("evaluate", "on validation and test rows")
    scorer, raw = _scorer(material, transform, fitted)
    details, test, shown, shown_scores = _judge(material, (scorer, raw), fitted, params)
    watch.step("keep", "reference sample and golden rows")
    reference = samples.reference(take(material.frame, shown), shown_scores, scorer)
    golden = samples.golden(take(material.frame, sets.test), scorer, settings.train.seed)
    if settings.split.folds:
        watch.step("folds", f"{settings.split.folds} folds")
        details = replace(details, folds=cross_validate(material, scorer, params, fitted.curve.best_round))
    details = replace(details, timings=watch.done(), messages=messages)
    rows = _row_table(sets, kept)
    return Trained(fitted.text, transform, scorer.signature, scorer.calibration, details, rows, reference, golden, test)


class _Watch:
    """Reads the clock between steps and says which one begins."""

    def __init__(self, cpu: Clock, report: Report) -> None:
        self.cpu, self.report = cpu, report
        self.timings: dict[str, float] = {}
        self.current, self.since = "", cpu()

    def step(self, name: str, text: str) -> None:
        """End the step before, begin the next."""
        now = self.cpu()
        if self.current:
            self.timings[self.current] = now - self.since
        self.current, self.since = name, now
        if name:
            self.report(Progress(name, text))

    def done(self) -> dict[str, float]:
        """End the last step; return the seconds of each."""
        self.step("", "")
        return self.timings


def _grow(
    material: Material, transform: Transform, params: dict[str, Any], watch: _Watch, clock: Clock
) -> tuple[Fitted, dict[str, Any], tuple[str, ...]]:
    """Bin the rows, search where asked, fit; the binned rows are free again on return."""
    settings, sets = material.settings.train, material.sets
    told: tuple[str, ...] = ()
    # a search tries leaves of many sizes on one binned set, so no feature may be filtered by the first
    binning = params | {"feature_pre_filter": False} if settings.tune is not None else params
    data = dataset(encoded(material, transform, sets.train, balanced=True), transform, binning)
    judged = dataset(encoded(material, transform, sets.validation), transform, binning, data)
    plan = (settings.rounds, settings.early_stopping)
    if settings.tune is not None:
        watch.step("tune", "a random search")
        params, tried = _tune(material, binning, lambda some: fit(data, judged, some, plan, _silent), watch, clock)
        told = (f"tried {tried} parameter sets of {settings.tune.trials}",)
    watch.step("train", f"up to {plan[0]} rounds")
    return fit(data, judged, params, plan, watch.report), params, told


def _left_out(material: Material, transform: Transform) -> tuple[str, ...]:
    """Words on the columns that were asked for and have no value in any training row."""
    settings = material.settings
    asked = (*choose(material.frame, settings.features, skipped(settings), settings.target.column),
             *settings.features.derive)  # fmt: skip
    made = {feature.column for feature in transform.features}
    return tuple(f"left out '{name}': no training row has a value of it" for name in asked if name not in made)


def _tune(
    material: Material, params: dict[str, Any], attempt: Callable[[dict[str, Any]], Fitted], watch: _Watch, clock: Clock
) -> tuple[dict[str, Any], int]:
    tune, started = material.settings.train.tune, clock()
    assert tune is not None
    seconds, done = tune.seconds, 0

    def judge(candidate: dict[str, Any]) -> tuple[float, bool]:
        nonlocal done
        fitted = attempt(candidate)
        done += 1
        values = {fitted.curve.metric: fitted.best}
        watch.report(Progress("tune", f"trial {done}", done, tune.trials, values))
        return fitted.best, fitted.curve.metric.startswith(("auc", "ndcg"))

    def out_of_time() -> bool:
        return seconds is not None and clock() - started >= seconds

    return search(tune, params, judge, material.settings.train.seed, out_of_time)


def _scorer(material: Material, transform: Transform, fitted: Fitted) -> tuple[Scorer, Floats]:
    """The scorer with its whole signature, calibrated, its threshold chosen, and its raw scores of validation rows."""
    inputs = learn_inputs(take(material.frame, material.sets.train), transform)
    known = {one.name for one in inputs}
    extras = tuple(name for name in _extras(material) if name not in known)
    signature = replace(material.signature, inputs=inputs, extras=extras)
    scorer = load(fitted.text, transform, signature, None, material.threads)
    judged = material.sets.validation
    raw = score(scorer, take(material.frame, judged))
    return (calibrated(material, scorer, judged, raw) if signature.task == "binary" else scorer), raw


def _extras(material: Material) -> tuple[str, ...]:
    """Columns that a request may carry for others to read: key, time, and the query of rows to rank."""
    data, query = material.settings.data, material.settings.target.query
    return tuple(name for name in dict.fromkeys((*data.key, data.time, query)) if name in material.frame.columns)


def _judge(
    material: Material, model: tuple[Scorer, Floats], fitted: Fitted, params: dict[str, Any]
) -> tuple[RunDetails, metrics.Answers, Ints, Floats]:
    """Metrics of every set, with intervals on test; the training rows are judged on the reference sample."""
    (scorer, raw), sets, seed = model, material.sets, material.settings.train.seed
    query = None if material.query is None else material.query[sets.train]
    shown = samples.sample(sets.train, query, seed)
    shown = material.in_queries(shown)
    test = answers_on(material, scorer, sets.test)
    on_train = answers_on(material, scorer, shown)
    found = tuple(one for one in metrics.evaluate(test, seed=seed) if isfinite(one.value))
    told = {"test": found, "train": _plainly(on_train, found)}
    told["validation"] = _plainly(answers_on(material, scorer, sets.validation, raw), found)
    sizes = {"train": len(sets.train), "validation": len(sets.validation), "test": len(sets.test)}
    names = [feature.name for feature in scorer.transform.features]
    importance = sorted(zip(names, shares(fitted.gain), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return RunDetails(params, sizes, told, (), fitted.curve, tuple(importance), {}), test, shown, on_train.score


def _plainly(answers: metrics.Answers, wanted: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """The same metrics without intervals."""
    values = (Metric(one.name, metrics.value(answers, one.name), higher=one.higher) for one in wanted)
    return tuple(one for one in values if isfinite(one.value))


def _row_table(sets: Sets, kept: Ints) -> pl.DataFrame:
    """Which set each row of the frame given is in, by row number; rows without a target are in none."""
    parts = [(name, getattr(sets, name)) for name in ("train", "validation", "test")]
    frames = [pl.DataFrame({"row": kept[part]}).with_columns(pl.lit(name).alias("set")) for name, part in parts]
    return pl.concat(frames).sort("row")
