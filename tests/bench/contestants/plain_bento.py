"""What somebody would write with BentoML alone: models of pydantic in and out; `bentoml serve plain_bento:Plain`."""

import os
from pathlib import Path

import bentoml
import lightgbm as lgb
import numpy as np
from pydantic import BaseModel, create_model

NAMES = [f"feature_{at:02}" for at in range(30)]
Row = create_model("Row", **dict.fromkeys(NAMES, (float | None, ...)))  # type: ignore[call-overload]


class Prediction(BaseModel):
    """One row's answer."""

    prediction: bool
    probability: float


class Answer(BaseModel):
    """The answers, in the order of the rows."""

    predictions: list[Prediction]


@bentoml.service(workers=1)
class Plain:
    """One model, one method."""

    def __init__(self) -> None:
        self.booster = lgb.Booster(model_str=Path(os.environ["BENCH_MODEL"]).read_text(encoding="utf-8"))

    @bentoml.api
    async def predict(self, rows: list[Row]) -> Answer:  # type: ignore[valid-type]
        """Predict the rows."""
        matrix = np.array([[getattr(row, name) for name in NAMES] for row in rows], dtype=np.float64)
        chances = self.booster.predict(matrix, num_threads=1).tolist()
        return Answer(predictions=[Prediction(prediction=p > 0.5, probability=p) for p in chances])
