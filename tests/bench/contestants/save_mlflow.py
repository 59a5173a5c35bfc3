"""Writes a booster as MLflow keeps models, run by the Python that has MLflow: `save_mlflow.py BOOSTER FOLDER HOW`."""

import sys
from pathlib import Path

import lightgbm as lgb
import mlflow.lightgbm  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
from mlflow.models import infer_signature  # type: ignore[import-not-found]

booster = lgb.Booster(model_str=Path(sys.argv[1]).read_text(encoding="utf-8"))
if sys.argv[3:] == ["plain"]:  # faster: MLflow then takes whatever comes
    mlflow.lightgbm.save_model(booster, sys.argv[2])
else:  # as its guide and its autologging save a model: requests are checked against the signature
    names = [f"feature_{at:02}" for at in range(booster.num_feature())]
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(5, len(names))), columns=names)
    signature = infer_signature(rows, booster.predict(rows.to_numpy()))
    mlflow.lightgbm.save_model(booster, sys.argv[2], signature=signature, input_example=rows)
