"""The pure part: frames and records in, records out; no file, clock, process or screen."""
