"""What `benchmarks/pipelines.py` compares, and how it measures."""
