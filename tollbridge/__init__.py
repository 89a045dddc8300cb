"""Tollbridge carries every finished bill to the systems that a finance team runs, exactly once."""
