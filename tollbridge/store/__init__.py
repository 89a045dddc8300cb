"""Rows: the only folder with SQL."""
