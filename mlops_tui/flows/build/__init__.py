"""The act build: source → dataset version → run → model version."""
