"""Benchmarks: real processes, one figure each. See docs/performance.md for what they measure and what they found."""
