"""LightGBM itself: its parameters, one fit with early stopping and a learning curve, and a random search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tui.core.features import categorical_indices, monotone
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Curve, Progress, Task, Transform

if TYPE_CHECKING:
    from mlops_tui.config import PipelineFile, Tune

Floats = NDArray[np.float64]
T = TypeVar("T")
Report = Callable[[Progress], None]
OBJECTIVES: dict[Task, tuple[str, ...]] = {
    "binary": ("binary", "cross_entropy"),
    "multiclass": ("multiclass", "multiclassova"),
    "regression": ("regression", "regression_l1", "huber", "fair", "poisson", "mape", "gamma", "tweedie"),
    "quantile": ("quantile",),
    "ranking": ("lambdarank", "rank_xendcg"),
}
"""The objectives of each task; the first is taken unless `[train.params] objective` names another."""
WATCHED: dict[Task, str] = {
    "binary": "auc",
    "multiclass": "multi_logloss",
    "regression": "rmse",
    "quantile": "quantile",
    "ranking": "ndcg",
}
"""The metric that stops training early and judges a search."""
FEW_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded rows of one set, sorted by query where there are queries; `weight` and `query` may be None."""

    matrix: pl.DataFrame
    y: Floats
    weight: Floats | None
    query: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained booster's text, cut at its best round, with its curve and the gain of each feature."""

    text: str
    curve: Curve
    gain: tuple[float, ...]
    best: float


class _Quiet:
    """Keeps LightGBM from writing on a screen; what matters comes as an exception."""

    def info(self, message: str) -> None:
        """Drop a message."""

    def warning(self, message: str) -> None:
        """Drop a warning."""


def parameters(settings: PipelineFile, transform: Transform, sizes: tuple[int, int, int]) -> dict[str, Any]:
    """Return LightGBM's parameters; `sizes` are the training rows, the classes and the threads."""
    task, chosen = settings.target.task, dict(settings.train.params)
    objective = chosen.setdefault("objective", OBJECTIVES[task][0])
    if objective not in OBJECTIVES[task]:
        known = near_miss(str(objective), OBJECTIVES[task])
        raise InvalidInput(f"train.params.objective: '{objective}' is not one of task {task}{known}")
    rows, classes, threads = sizes
    fixed: dict[str, Any] = {"metric": WATCHED[task], "seed": settings.train.seed, "num_threads": threads}
    fixed |= {"deterministic": True, "force_row_wise": True, "verbosity": -1}
    if task == "multiclass":
        fixed["num_class"] = classes
    if task == "quantile":
        fixed["alpha"] = settings.target.quantile
    if task == "ranking":
        fixed["eval_at"] = [5]
    if monotone(transform):
        fixed["monotone_constraints"] = monotone(transform)
    if rows < 400:  # LightGBM's 20 rows a leaf would leave few trees or none
        chosen.setdefault("min_data_in_leaf", max(1, rows // 20))
    return chosen | fixed


def dataset(rows: Rows, transform: Transform, params: dict[str, Any], like: lgb.Dataset | None = None) -> lgb.Dataset:
    """Return LightGBM's binned form of the rows; `like` is the training set whose bins validation rows share."""
    lgb.register_logger(_Quiet())
    groups = None if rows.query is None else np.unique(rows.query, return_counts=True)[1]
    categorical: list[int] = categorical_indices(transform)
    made = lgb.Dataset(
        rows.matrix,
        rows.y,
        reference=like,
        weight=rows.weight,
        group=groups,
        categorical_feature=categorical,
        params=dict(params),
    )
    return _guarded(made.construct)


def fit(
    train: lgb.Dataset, validation: lgb.Dataset | None, params: dict[str, Any], plan: tuple[int, int], report: Report
) -> Fitted:
    """Return a trained model; `plan` is how many rounds at most, and after how many without gain to stop (0: never).

    The training rows are evaluated at some rounds only, as that costs as much as training a good part of a round.
    """
    rounds, patience = plan
    lgb.register_logger(_Quiet())
    points: list[tuple[int, float, float]] = []
    callbacks: list[Callable[..., Any]] = []
    if validation is not None:
        callbacks.append(_recorder(points, rounds, train.num_data() <= FEW_ROWS, report))
        if patience:
            callbacks.append(lgb.early_stopping(patience, first_metric_only=True, verbose=False))
    booster = _guarded(
        lambda: lgb.train(
            dict(params),
            train,
            rounds,
            valid_sets=None if validation is None else [validation],
            callbacks=callbacks,
            keep_training_booster=True,
        )
    )
    best = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
    scores = dict(next(iter(booster.best_score.values()), {}))
    name = next(iter(scores), params["metric"])
    if not np.isfinite(scores.get(name, 0.0)):
        hint = "a lower learning_rate in [train.params], or another objective"
        raise InvalidInput(f"the training went astray: {name} on validation rows is {scores[name]}", hint)
    points = [point for point in points if np.isfinite(point).all()]  # a record holds no nan
    columns = tuple(zip(*points, strict=True)) or ((), (), ())
    curve = Curve(name, columns[0], columns[1], columns[2], best)
    gain = tuple(booster.feature_importance("gain", iteration=best).tolist())
    return Fitted(booster.model_to_string(num_iteration=best), curve, gain, float(scores.get(name, 0.0)))


def shares(gain: tuple[float, ...]) -> tuple[float, ...]:
    """Return each feature's share of the total gain; a gain beyond 32 bits counts as the largest that they hold."""
    finite = np.nan_to_num(np.asarray(gain), nan=0.0, posinf=float(np.finfo(np.float32).max))
    return tuple((finite / (finite.sum() or 1.0)).tolist())


def _guarded(act: Callable[[], T]) -> T:
    try:
        return act()
    except lgb.basic.LightGBMError as error:
        raise InvalidInput(f"LightGBM refuses: {error}", "look at [train.params]") from None


def _recorder(points: list[tuple[int, float, float]], rounds: int, few: bool, report: Report) -> Callable[[Any], None]:
    """A callback that adds (round, train, validation) points and tells how far training is."""

    def record(env: Any) -> None:
        number = env.iteration + 1
        found = env.evaluation_result_list[0]
        name, value = found[1], float(found[2])
        if number % 10 == 0 or number in (1, rounds):
            report(Progress("train", f"round {number}", number, rounds, {name: value}))
        if number in (1, 10, 25, rounds) or number % (10 if few else 50) == 0:
            points.append((number, float(env.model.eval_train()[0][2]), value))

    return record


def search(tune: Tune, params: dict[str, Any], judge: Callable[[dict[str, Any]], tuple[float, bool]], seed: int,
           out_of_time: Callable[[], bool]) -> tuple[dict[str, Any], int]:  # fmt: skip
    """Return the best of `trials` parameter sets (the first is `params` itself) and how many were tried.

    `judge` gives a set's score and whether more is better; random search after Bergstra & Bengio 2012.
    """
    rng = np.random.default_rng(seed)
    best, best_score, tried = params, -np.inf, 0
    for trial in range(tune.trials):
        if trial and out_of_time():
            break
        drawn = {name: value for name, value in _draw(rng, params).items() if name not in params}
        candidate = params | drawn if trial else params
        value, higher = judge(candidate)
        tried += 1
        if (value if higher else -value) > best_score:
            best, best_score = candidate, value if higher else -value
    return best, tried


def _draw(rng: np.random.Generator, params: dict[str, Any]) -> dict[str, Any]:
    """One point of the search space; all values are always drawn, so that a fixed one does not move the others."""
    leaf = int(np.exp(rng.uniform(np.log(5), np.log(200))))
    return {
        "learning_rate": float(np.round(np.exp(rng.uniform(np.log(0.02), np.log(0.3))), 6)),
        "num_leaves": int(np.exp(rng.uniform(np.log(8), np.log(128)))),
        "min_data_in_leaf": leaf,
        "feature_fraction": float(np.round(rng.uniform(0.5, 1.0), 6)),
        "bagging_fraction": float(np.round(rng.uniform(0.5, 1.0), 6)),
        "bagging_freq": 1,
        "lambda_l1": float(np.round(np.exp(rng.uniform(np.log(1e-3), np.log(10))), 6)),
        "lambda_l2": float(np.round(np.exp(rng.uniform(np.log(1e-3), np.log(10))), 6)),
    }
