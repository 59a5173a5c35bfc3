"""The act release: model version → gate report → approval → Bento → deployment."""
