"""What every test shares: examples that are the same on every machine, and nothing that phones home."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ["BENTOML_DO_NOT_TRACK"] = "true"  # "1" does nothing
for variable in [name for name in os.environ if name.startswith("MLOPS_")]:
    del os.environ[variable]  # a developer's own workspace is not what the tests look at

settings.register_profile(
    "house",
    deadline=None,  # a busy machine is no failure
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")
