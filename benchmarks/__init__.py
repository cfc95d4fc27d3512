"""Benchmarks: each is a module, run from the repository's root as ``python -m benchmarks.NAME``."""
