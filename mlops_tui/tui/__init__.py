"""The terminal screens: the whole cycle at a glance, over the flows that the CLI calls too."""
