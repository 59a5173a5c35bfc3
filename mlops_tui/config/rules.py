"""What a pipeline file says of watching: `[monitor]`, `[[rules]]` and `[policy]`; also alone, for a backtest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from mlops_tui.config.base import Settings, Share, Span, load
from mlops_tui.errors import near_miss
from mlops_tui.names import parse_cron, parse_duration

When = Literal[
    "schedule", "new_data", "drift", "prediction_drift", "decay", "estimated_decay", "gain", "age", "change"
]  # fmt: skip
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
KEYS: dict[str, tuple[str, ...]] = {
    "schedule": ("cron", "tz"),
    "new_data": ("rows", "growth"),
    "drift": ("share", "features", "windows"),
    "prediction_drift": ("windows",),
    "decay": ("drop", "min", "windows"),
    "estimated_decay": ("drop", "min", "windows"),
    "gain": ("min", "confidence", "max_cpu"),
    "age": ("days",),
    "change": ("of",),
}
"""Which keys go with each kind of rule."""


def _check_tz(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("a time zone is a name such as 'UTC' or 'Europe/Vienna'") from None
    return name


def _check_cron(text: str) -> str:
    parse_cron(text)
    return text


def _check_hours(text: str) -> str:
    match = HOURS.fullmatch(text)
    if match is None or match.groups()[:2] == match.groups()[2:]:
        raise ValueError("quiet hours are written as '22:00-06:00'")
    return text


TimeZone = Annotated[str, AfterValidator(_check_tz)]
Cron = Annotated[str, AfterValidator(_check_cron)]
Hours = Annotated[str, AfterValidator(_check_hours)]


class Monitor(Settings):
    """How predictions are watched. A window of fewer than `min_rows` rows is told, not judged.

    `false_alarms` is the chance that a window without drift has any feature called drifted.
    """

    window: Span = "7d"
    by: Literal["event", "received"] = "event"  # the rows' own time where they carry it, or when they were answered
    min_rows: int = Field(default=200, ge=20)
    false_alarms: float = Field(default=0.01, gt=0, le=0.5)
    metric: str | None = None  # the one that is watched, and that decay and gain are about; by default the task's first
    multivariate: bool = True
    spool_mb: int = Field(default=256, ge=1, le=1_000_000)  # what a server's spool may hold before it drops

    @property
    def seconds(self) -> float:
        """The length of a window, in seconds."""
        return parse_duration(self.window)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.seconds < 1:
            raise ValueError("'window' is at least '1s'")
        return self


class Rule(Settings):
    """One reason to run the cycle again, or several combined by `all` or `any`."""

    when: When | None = None
    all: list[Rule] | None = Field(default=None, min_length=1)
    any: list[Rule] | None = Field(default=None, min_length=1)
    name: str | None = Field(
        default=None, min_length=1, max_length=60
    )  # what the rule is called; by default its `when`
    cron: Cron | None = None
    tz: TimeZone = "UTC"
    rows: int | None = Field(default=None, ge=1)
    growth: float | None = Field(default=None, gt=0)
    share: Share | None = None
    features: list[str] | None = Field(default=None, min_length=1)
    windows: int = Field(default=1, ge=1, le=100)  # so many windows in a row
    drop: float | None = Field(default=None, ge=0)
    min: float | None = None
    confidence: float = Field(default=0.8, gt=0.5, lt=1)  # one-sided
    max_cpu: Span = "10m"  # what a trial challenger's training may cost
    days: float | None = Field(default=None, gt=0)
    of: list[Literal["pipeline", "code", "contract"]] = Field(default=["pipeline", "code", "contract"], min_length=1)

    @property
    def label(self) -> str:
        """What the rule is called in a decision: its name, else its kind, else "all(…)" or "any(…)"."""
        if self.name or self.when:
            return str(self.name or self.when)
        parts = self.all or self.any or []
        return f"{'all' if self.all else 'any'}({', '.join(part.label for part in parts)})"

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        said = [key for key in ("when", "all", "any") if getattr(self, key) is not None]
        if len(said) != 1:
            raise ValueError(f"a rule has one of 'when', 'all' and 'any'; found {' and '.join(said) or 'none'}")
        given = self.model_fields_set - {"when", "all", "any", "name"}
        allowed = KEYS[self.when] if self.when else ()
        wrong = [f"'{key}'{near_miss(key, allowed)}" for key in sorted(given) if key not in allowed]
        if wrong:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes rules only"
            raise ValueError(f"{self.label} {takes}; found {', '.join(wrong)}")
        for key, needed in (("schedule", "cron"), ("age", "days")):
            if self.when == key and getattr(self, needed) is None:
                raise ValueError(f"{key} needs '{needed}'")
        if self.when == "new_data" and (self.rows is None) == (self.growth is None):
            raise ValueError("new_data needs either 'rows' or 'growth' (0.2: a fifth more than the champion was given)")
        return self

    def kinds(self) -> set[str]:
        """The kinds of rule that it is or combines."""
        if self.when:
            return {self.when}
        return {kind for part in self.all or self.any or [] for kind in part.kinds()}

    def leaves(self) -> list[Rule]:
        """The rules that it is or combines, none of them a combination."""
        return [self] if self.when else [leaf for part in self.all or self.any or [] for leaf in part.leaves()]


class Policy(Settings):
    """What holds rules back: at most so many cycles, never so soon after another, never at these hours."""

    combine: Literal["any", "all"] = "any"  # whether one rule is enough
    cooldown: Span = "1d"
    max_cycles_per_week: int | None = Field(default=None, ge=1)
    quiet_hours: list[Hours] = []
    tz: TimeZone = "UTC"
    on_fault: Literal["hold", "ignore"] = "hold"  # a broken column is not answered by training


DEFAULT_RULES = (Rule(when="gain"),)
"""The rules of a pipeline file without `[[rules]]`; `rules = []` means none, so never."""


class RuleSet(Settings):
    """Rules and their policy, as a file of their own or as a part of a pipeline file."""

    rules: list[Rule] | None = None
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _one_trial_is_enough(self) -> Self:
        if sum(leaf.when == "gain" for rule in self.rules or [] for leaf in rule.leaves()) > 1:
            raise ValueError("rules: gain may be said once; combine it with others by 'all' and 'any'")
        return self

    @property
    def chosen(self) -> tuple[Rule, ...]:
        """The rules as they are meant: the default ones where none are written."""
        return DEFAULT_RULES if self.rules is None else tuple(self.rules)


class _PolicyFile(RuleSet):
    """A pipeline file's other sections may stand in it, and are not read."""

    model_config = RuleSet.model_config | ConfigDict(extra="ignore")


def load_rules(path: Path) -> RuleSet:
    """Return the rules and the policy of a TOML file, which may be a whole pipeline file; raises as `load` does."""
    found = load(path, _PolicyFile)
    return RuleSet(rules=found.rules, policy=found.policy)


assert set(KEYS) == set(get_args(When))
