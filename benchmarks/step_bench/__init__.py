"""What `benchmarks/step.py` times: the trainer's step, taken apart."""
