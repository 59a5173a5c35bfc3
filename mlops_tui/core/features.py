"""From raw rows to the model's matrix: learned once from training rows, then the same in training and serving.

Numbers and booleans are taken as they are, texts become codes of the categories that training saw, times
become parts such as hour and weekday. What is missing, not finite or never seen is a null of the matrix.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from mlops_tui.core import derive
from mlops_tui.core.kinds import SECONDS_OF, TEMPORAL, canonical, canonical_type
from mlops_tui.errors import InvalidInput, near_miss
from mlops_tui.records import Feature, FeatureKind, Input, Transform

if TYPE_CHECKING:
    from mlops_tui.config import Features

PARTS: dict[type[pl.DataType], tuple[str, ...]] = {
    pl.Datetime: ("hour", "weekday", "month", "day"),
    pl.Date: ("weekday", "month", "day"),
    pl.Time: ("seconds",),
    pl.Duration: ("seconds",),
}


def choose(
    frame: pl.DataFrame, settings: Features, skip: Collection[str], target: str | None = None
) -> tuple[str, ...]:
    """Return the raw columns that become features, in the frame's order; raises InvalidInput for a wrong name.

    A column named in `include` is taken even if it is one to skip; the target never is.
    """
    for key in ("include", "exclude"):
        for name in getattr(settings, key) or ():
            if name not in frame.columns:
                raise InvalidInput(f"features.{key}: no column '{name}'{near_miss(name, frame.columns)}")
    if target is not None and target in (settings.include or ()):
        raise InvalidInput(f"features.include: the target '{target}' cannot be a feature as well")
    wanted = set(settings.include) if settings.include is not None else set(frame.columns) - set(skip)
    unwanted = {*settings.exclude, target}
    return tuple(name for name in frame.columns if name in wanted and name not in unwanted)


def learn(frame: pl.DataFrame, settings: Features, skip: Collection[str], target: str | None = None) -> Transform:
    """Return the transform that the training rows teach; raises InvalidInput when the settings do not fit them.

    A column without a single value teaches nothing and is left out.
    """
    frame = canonical(frame)
    names = choose(frame, settings, skip, target)
    for name in names:
        if canonical_type(frame.schema[name]) is None:
            hint = f'add it to features.exclude = ["{name}"], or derive something from it'
            raise InvalidInput(f"column '{name}' has type {frame.schema[name]}, which cannot be a feature", hint)
    derive.check(frame, settings.derive, target)
    derived = derive.derive(frame, dict(sorted(settings.derive.items())))  # a stored run forgets the file's order
    columns = [*(frame[name] for name in names), *derived.get_columns()]
    _check_settings(settings, columns)
    features = [one for column in columns if column.null_count() < len(column) for one in _learn(column, settings)]
    if not features:
        raise InvalidInput("no feature is left to learn from", "look at features.include and features.exclude")
    _check_unique([feature.name for feature in features])
    return Transform(tuple(features))


def _check_settings(settings: Features, columns: list[pl.Series]) -> None:
    types = {column.name: canonical_type(column.dtype) for column in columns}
    for key in ("categorical", "monotone"):
        for name in getattr(settings, key):
            if name not in types:
                raise InvalidInput(f"features.{key}: no feature '{name}'{near_miss(name, types)}")
    for name in settings.categorical:
        if types[name] not in (pl.Int64, pl.String, pl.Boolean, pl.Null):
            raise InvalidInput(f"features.categorical: '{name}' has type {types[name]}; whole numbers and texts can be")
    for name, way in settings.monotone.items():
        if way and (types[name] not in (pl.Int64, pl.Float64, pl.Boolean, pl.Null) or name in settings.categorical):
            raise InvalidInput(f"features.monotone: '{name}' has type {types[name]}; only numbers rise and fall")


def _check_unique(names: list[str]) -> None:
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InvalidInput(f"two features are named '{double}'", f"features.exclude or rename the column '{double}'")


def _learn(column: pl.Series, settings: Features) -> Iterable[Feature]:
    name, kind = column.name, _kind(column, settings)
    expression = settings.derive.get(name)
    if kind == "temporal":
        for part in PARTS[column.dtype.base_type()]:
            yield Feature(f"{name}.{part}", kind, name, expression, part)
    elif kind == "categorical":
        yield Feature(name, kind, name, expression, categories=_categories(column, settings.max_categories))
    else:
        yield Feature(name, kind, name, expression, monotone=settings.monotone.get(name, 0))


def _kind(column: pl.Series, settings: Features) -> FeatureKind:
    kind = canonical_type(column.dtype)
    if kind is None:
        raise InvalidInput(f"features.derive.{column.name}: gives {column.dtype}, which cannot be a feature")
    if kind == pl.String or column.name in settings.categorical:
        return "categorical"
    if kind == pl.Boolean:
        return "boolean"
    return "temporal" if kind in TEMPORAL else "numeric"


def _categories(column: pl.Series, limit: int) -> tuple[str, ...]:
    """The most frequent categories, ties by name, in the order of their names."""
    counts = column.cast(pl.String).drop_nulls().alias("name").value_counts(name="rows")
    kept = counts.sort(["rows", "name"], descending=[True, False]).head(limit)
    return tuple(sorted(kept["name"].to_list()))


@lru_cache(maxsize=64)
def _expressions(transform: Transform) -> tuple[pl.Expr, ...]:
    return tuple(_expression(feature).alias(f"f{at}") for at, feature in enumerate(transform.features))


def _expression(feature: Feature) -> pl.Expr:
    value = derive.parse(feature.expression) if feature.expression is not None else pl.col(feature.column)
    if feature.kind == "categorical":
        codes = value.cast(pl.String).cast(pl.Enum(feature.categories), strict=False).to_physical()
        return codes.cast(pl.Float64)
    if feature.part is not None:
        return _part(value, feature.part)
    number = value.cast(pl.Float64)
    return number if feature.kind == "boolean" else pl.when(number.is_finite()).then(number)


def _part(value: pl.Expr, part: str) -> pl.Expr:
    if part == "seconds":  # nanoseconds since midnight, or a duration: both are integers below
        return value.cast(pl.Duration("ns")).dt.total_nanoseconds().cast(pl.Float64) / 1e9
    taken: pl.Expr = getattr(value.dt, part)()
    return taken.cast(pl.Float64)


def encode(transform: Transform, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the model's matrix, columns f0…fN of Float64 with nulls for what is missing or was never seen.

    >>> encode(Transform((Feature("a", "numeric", "a"),)), pl.DataFrame({"a": [1, None]}))["f0"].to_list()
    [1.0, None]
    """
    needed = input_columns(transform)
    absent = [name for name in needed if name not in frame.columns]
    if absent:
        raise InvalidInput(f"no column '{absent[0]}'{near_miss(absent[0], frame.columns)}", "the model reads it")
    try:
        return derive.select(canonical(frame.select(needed)), _expressions(transform))
    except pl.exceptions.PolarsError as error:  # an expression that these values break, such as CAST('x' AS INT)
        raise InvalidInput(f"cannot compute the features of these rows: {derive.first_line(error)}") from None


@lru_cache(maxsize=64)
def input_columns(transform: Transform) -> tuple[str, ...]:
    """Return the raw columns that the features are made from, in order, each once."""
    read = (
        derive.columns_of(one.expression) if one.expression is not None else (one.column,) for one in transform.features
    )
    return tuple(dict.fromkeys(name for names in read for name in names))


def categorical_indices(transform: Transform) -> list[int]:
    """Return the positions of the matrix columns that hold codes."""
    return [at for at, feature in enumerate(transform.features) if feature.kind == "categorical"]


def monotone(transform: Transform) -> list[int]:
    """Return for each matrix column 1 (rises), -1 (falls) or 0; empty if no column is bound."""
    ways = [feature.monotone for feature in transform.features]
    return ways if any(ways) else []


def learn_inputs(frame: pl.DataFrame, transform: Transform) -> tuple[Input, ...]:
    """Return the raw columns that a request carries, with the range, nulls and categories that training saw.

    The range of a time is in seconds since 1970, of a time of day or a duration in seconds.
    """
    seen = {one.column: one.categories for one in transform.features if one.expression is None and one.categories}
    return tuple(
        _input(column, seen.get(column.name, ())) for column in canonical(frame.select(input_columns(transform)))
    )


def _input(column: pl.Series, categories: tuple[str, ...]) -> Input:
    kind, nullable = column.dtype, column.null_count() > 0
    if kind == pl.Null:
        return Input(column.name, str(pl.Float64()), nullable)
    low, high = _range(column)
    return Input(column.name, str(kind), nullable, low, high, categories)


def _range(column: pl.Series) -> tuple[float | None, float | None]:
    if not (column.dtype.is_numeric() or column.dtype in TEMPORAL):
        return None, None
    values = column.to_physical().drop_nulls()
    finite = values.filter(values.is_finite()) if values.dtype.is_float() else values
    if finite.is_empty():
        return None, None
    unit = SECONDS_OF.get(column.dtype.base_type(), 1.0)
    ends = finite.to_numpy()
    return float(ends.min()) * unit, float(ends.max()) * unit
