"""Hides scikit-learn from the processes that tests start: LightGBM loads it for 0.8 s, and users do not have it."""

raise ImportError("scikit-learn is an oracle of the tests; the product runs without it")
