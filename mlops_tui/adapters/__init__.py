"""The outside world: files, the catalogue, objects, Bentos."""
