"""A pipeline file: everything the cycle does follows from it and from the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mlops_tui.config.base import Duration, Name, Settings, Share, Span, load
from mlops_tui.config.rules import Monitor, Policy, Rule, RuleSet
from mlops_tui.errors import near_miss
from mlops_tui.names import parse_duration
from mlops_tui.records import METRICS, CanaryBounds, InputPolicy, Serving, Task, hash_of
from mlops_tui.records import Limits as LimitsRecord

CHECKS = ("latency_p99_ms", "model_size_mb", "overfit", "leak")
PARAMETERS = (
    "learning_rate", "num_leaves", "max_depth", "min_data_in_leaf", "min_sum_hessian_in_leaf",
    "bagging_fraction", "bagging_freq", "feature_fraction", "feature_fraction_bynode", "lambda_l1", "lambda_l2",
    "linear_lambda", "min_gain_to_split", "max_bin", "min_data_in_bin", "cat_smooth", "cat_l2",
    "max_cat_threshold", "max_cat_to_onehot", "path_smooth", "extra_trees", "boosting", "drop_rate",
    "skip_drop", "max_drop", "uniform_drop", "top_rate", "other_rate", "objective", "alpha", "fair_c",
    "poisson_max_delta_step", "tweedie_variance_power", "lambdarank_truncation_level", "max_delta_step",
    "data_sample_strategy", "monotone_constraints_method",
)  # fmt: skip
"""LightGBM parameters that `[train.params]` may set; the rest are decided by the pipeline's other keys."""


class ColumnRule(Settings):
    """What one column must hold; a rule that is not given is not checked."""

    dtype: str | None = None
    min: float | None = None
    max: float | None = None
    null_share_max: Share | None = None
    allowed: list[str | int | float | bool] | None = None


class Checks(Settings):
    """The contract; a version that breaks it is kept, marked, and not trained on."""

    min_rows: int = Field(default=1, ge=1)
    unique: list[str] = []
    columns: dict[str, ColumnRule] = {}
    new_column: Literal["refuse", "add"] = "refuse"
    missing_column: Literal["refuse", "null"] = "refuse"
    type_change: Literal["refuse", "widen"] = "refuse"
    faults: Literal["refuse", "tell", "off"] = "refuse"  # a column stuck, gone, or in another unit than before


class Data(Settings):
    """Where rows come from, and what they are."""

    dataset: Name
    source: str = Field(min_length=1)
    time: str | None = None
    key: list[str] = []
    incremental: bool = True
    label_delay: Span = "0s"
    checks: Checks = Checks()


class Target(Settings):
    """What is predicted."""

    column: str
    task: Task
    positive: str | int | bool | None = None  # binary: the label that counts as 1
    quantile: float = Field(default=0.5, gt=0, lt=1)  # quantile: which
    query: str | None = None  # ranking: rows of one query are ranked together
    weight: str | None = None  # a column of row weights

    @model_validator(mode="after")
    def _query_goes_with_ranking(self) -> Self:
        if (self.task == "ranking") != (self.query is not None):
            raise ValueError("'query' names the column that groups rows to rank: needed for ranking, and only there")
        return self


class Features(Settings):
    """What the model sees: all columns but target, key, time, weight and the excluded, and what is derived."""

    include: list[str] | None = None
    exclude: list[str] = []
    derive: dict[str, str] = {}
    categorical: list[str] = []
    monotone: dict[str, Literal[-1, 0, 1]] = {}
    max_categories: int = Field(default=256, ge=2, le=10000)


class Split(Settings):
    """Which rows train, which stop the training early, which judge."""

    method: Literal["time", "random", "stratified", "group", "predefined"] = "random"
    test: float = Field(default=0.2, gt=0, lt=0.9)
    validation: float = Field(default=0.15, gt=0, lt=0.9)
    folds: int = Field(default=0, ge=0, le=20)
    column: str | None = None  # group: the group; predefined: "train", "validation" or "test"

    @model_validator(mode="after")
    def _column_where_needed(self) -> Self:
        if (self.method in ("group", "predefined")) != (self.column is not None):
            raise ValueError("'column' goes with the methods group and predefined, and only with them")
        if self.test + self.validation > 0.95:
            raise ValueError("'test' and 'validation' together leave less than 5 % of the rows to train on")
        if self.folds == 1:
            raise ValueError("'folds' is 0 (none) or at least 2")
        return self


class Tune(Settings):
    """A random search over LightGBM's parameters, judged on the validation rows."""

    trials: int = Field(ge=1, le=1000)
    timeout: Duration | None = None

    @property
    def seconds(self) -> float | None:
        """The time after which no further trial starts, in seconds of the clock; None is no limit."""
        return None if self.timeout is None else parse_duration(self.timeout)


class Train(Settings):
    """How the model is trained."""

    engine: Literal["local"] = "local"
    rounds: int = Field(default=500, ge=1, le=100_000)
    early_stopping: int = Field(default=50, ge=0)  # rounds without gain; 0 trains all rounds
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    imbalance: Literal["none", "balanced"] = "none"
    calibration: Literal["none", "isotonic", "sigmoid"] = "none"
    threshold: float | Literal["best_f1"] = "best_f1"  # binary: the score from which a row counts as positive
    params: dict[str, int | float | str | bool] = {}
    tune: Tune | None = None

    @model_validator(mode="after")
    def _known_parameters(self) -> Self:
        wrong = [f"'{name}'{near_miss(name, PARAMETERS)}" for name in self.params if name not in PARAMETERS]
        if wrong:
            raise ValueError("'params' cannot set " + ", ".join(wrong))
        if isinstance(self.threshold, float) and not 0 < self.threshold < 1:
            raise ValueError("'threshold' lies between 0 and 1, or is 'best_f1'")
        return self


class Gate(Settings):
    """One condition on a model version: a metric, or a check by name."""

    metric: str | None = None
    check: Literal["latency_p99_ms", "model_size_mb", "overfit", "leak"] | None = None
    over: Literal["process", "http"] = "process"  # latency: of the model alone, or of a Bento that serves it
    min: float | None = None
    max: float | None = None
    versus: Literal["champion"] | None = None
    margin: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    slice: str | None = None
    min_rows: int = Field(default=100, ge=2)  # slices smaller than this are told, not judged

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.metric is None) == (self.check is None):
            raise ValueError(f"a gate has either 'metric' or 'check' (one of {', '.join(CHECKS)})")
        if self.versus and (self.min is not None or self.max is not None or self.slice or self.check):
            raise ValueError("'versus' goes with 'metric', 'margin' and 'confidence' only")
        if not self.versus and self.check not in ("overfit", "leak") and self.min is None and self.max is None:
            raise ValueError("say 'min' or 'max', or versus = \"champion\"")
        if self.slice and self.metric is None:
            raise ValueError("'slice' goes with 'metric'")
        if self.over != "process" and self.check != "latency_p99_ms":
            raise ValueError("'over' goes with check = \"latency_p99_ms\"")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave a default out that is younger than others: reports of the same gates stay in force."""
        said: dict[str, Any] = usual(self)
        return said if self.over == "http" else {name: value for name, value in said.items() if name != "over"}


class Approval(Settings):
    """Who lets a model version go live. `reviewers` counts people other than who started the run."""

    mode: Literal["manual", "auto"] = "manual"
    reviewers: int = Field(default=1, ge=0, le=10)


class Inputs(Settings):
    """What becomes of odd inputs; `null` reads the value as missing, `warn` does so and tells in the answer."""

    unknown: Literal["refuse", "ignore", "warn"] = "refuse"  # a column that the model does not know
    missing: Literal["refuse", "null", "warn"] = "refuse"  # a key left out where training saw no nulls
    invalid: Literal["refuse", "null", "warn"] = "refuse"  # another type
    not_finite: Literal["refuse", "null", "warn"] = "refuse"  # NaN and infinities
    unseen: Literal["refuse", "null", "warn"] = "null"  # a category that training did not see
    range: Literal["refuse", "null", "warn", "keep"] = "keep"  # a number beyond what training saw


class Limits(Settings):
    """What one service takes on."""

    body_mb: float = Field(default=8.0, gt=0, le=1024)
    rows: int = Field(default=100_000, ge=1, le=10_000_000)
    seconds: float = Field(default=60.0, gt=0, le=3600)
    at_once: int = Field(default=256, ge=1, le=100_000)
    per_second: float | None = Field(default=None, gt=0)  # requests of one client, a key or an address


class Canary(Settings):
    """When a canary is taken back by itself."""

    requests: int = Field(default=200, ge=20)  # of each side, before latency and predictions are judged
    errors: float = Field(default=0.02, ge=0, lt=1)  # how much larger its share of failed requests may be
    latency: float = Field(default=3.0, gt=1)  # times the live model's 99th percentile
    shift: float = Field(default=0.25, gt=0)  # population stability index of its predictions


class Tls(Settings):
    """Files in PEM format, from the workspace's root."""

    certificate: str
    key: str


class Serve(Settings):
    """How the champion is served."""

    port: int = Field(default=3000, ge=1, le=65535)
    host: str = "127.0.0.1"
    name: Name | None = None  # the deployment; by default the model's name
    inputs: Inputs = Inputs()
    limits: Limits = Limits()
    canary: Canary = Canary()
    tls: Tls | None = None

    def serving(self) -> Serving:
        """What a Bento carries of it."""
        return Serving(
            InputPolicy(**self.inputs.model_dump()),
            LimitsRecord(**self.limits.model_dump()),
            CanaryBounds(**self.canary.model_dump()),
        )


class Pipeline(Settings):
    """Who the pipeline is."""

    name: Name
    description: str = ""


class PipelineFile(Settings):
    """One pipeline: everything the cycle does follows from this and from the data."""

    pipeline: Pipeline
    data: Data
    target: Target
    features: Features = Features()
    split: Split = Split()
    train: Train = Train()
    gates: list[Gate] = []
    approval: Approval = Approval()
    serve: Serve | None = None
    monitor: Monitor = Monitor()
    rules: list[Rule] | None = None
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        problems = [*self._gate_problems(), *self._column_problems(), *self._rule_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _gate_problems(self) -> list[str]:
        task, known = self.target.task, METRICS[self.target.task]
        found = [
            f"gates: metric '{gate.metric}' is not one of task {task}{near_miss(gate.metric, known)}"
            for gate in self.gates
            if gate.metric is not None and gate.metric not in known
        ]
        if self.approval.mode == "auto" and not self.gates:
            found.append("approval: mode 'auto' approves what passes every gate, and there is no gate")
        return found

    def _column_problems(self) -> list[str]:
        found = []
        target, features = self.target.column, self.features
        if target in (features.include or []) or target in features.derive:
            found.append(f"features: the target '{target}' cannot be a feature as well")
        if self.split.method == "time" and self.data.time is None:
            found.append("split: method 'time' needs [data] time, the column of the event's time")
        if self.train.calibration != "none" and self.target.task != "binary":
            found.append("train: calibration is for the binary task")
        if self.train.imbalance != "none" and self.target.task not in ("binary", "multiclass"):
            found.append("train: imbalance is for the binary and multiclass tasks")
        return found

    def _rule_problems(self) -> list[str]:
        found, task, metric = [], self.target.task, self.monitor.metric
        if metric is not None and metric not in METRICS[task]:
            found.append(f"monitor: metric '{metric}' is not one of task {task}{near_miss(metric, METRICS[task])}")
        gains = [leaf for rule in self.rules or [] for leaf in rule.leaves() if leaf.when == "gain"]
        if len(gains) > 1:
            found.append("rules: gain may be said once; combine it with others by 'all' and 'any'")
        if self.data.time is None and gains:
            found.append("rules: gain tests on the newest rows, and needs [data] time, the column of the event's time")
        return found

    @property
    def watched_metric(self) -> str:
        """The metric that monitor and rules watch."""
        return self.monitor.metric or METRICS[self.target.task][0]

    @property
    def rule_set(self) -> RuleSet:
        """The rules and their policy."""
        return RuleSet(rules=self.rules, policy=self.policy)

    @property
    def name(self) -> str:
        """The pipeline's name, which is also its model's."""
        return self.pipeline.name

    @property
    def deployment(self) -> str:
        """The name under which its champion is served."""
        return (self.serve.name if self.serve else None) or self.pipeline.name

    def training_settings(self) -> dict[str, Any]:
        """The keys that decide a training's result, as plain values: what a run stores."""
        data = {"dataset": self.data.dataset, "time": self.data.time, "key": self.data.key}
        sections = {key: getattr(self, key).model_dump() for key in ("target", "features", "split", "train")}
        return {"data": data, **sections}

    def training_hash(self) -> str:
        """The hash of the keys that decide a training's result."""
        return hash_of(self.training_settings())

    def gates_hash(self) -> str:
        """The hash of the gates and of who approves: what a gate report answers to."""
        return hash_of([[gate.model_dump() for gate in self.gates], self.approval.model_dump()])


def load_pipeline(path: Path) -> PipelineFile:
    """Return the pipeline that a file describes; raises NotFound or InvalidInput with every mistake."""
    return load(path, PipelineFile)
