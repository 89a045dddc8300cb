"""Decisions: values in, values out. No I/O, no clock, no randomness; `now` and new ids are arguments."""
