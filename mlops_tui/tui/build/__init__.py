"""The pages of the act build: datasets, runs, pipelines."""
