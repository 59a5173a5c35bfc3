"""The whole machine-learning pipeline of a small team, from a terminal, on one machine."""

__version__ = "0.1.0"
