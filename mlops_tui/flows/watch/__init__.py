"""The act watch: predictions (+ labels, late) → monitor report → rule decision → the next cycle."""
