"""Parts of `benchmarks/chaos.py`."""
