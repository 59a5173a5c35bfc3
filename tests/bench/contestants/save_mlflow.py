"""Writes a booster as MLflow keeps models; run by the Python that has MLflow: `save_mlflow.py BOOSTER FOLDER`."""

import sys
from pathlib import Path

import lightgbm as lgb
import mlflow.lightgbm  # type: ignore[import-not-found]

# Without a signature, which MLflow would check each request against: this is its fastest.
mlflow.lightgbm.save_model(lgb.Booster(model_str=Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2])
