"""The pipeline's kernels for CPUs, compiled by numba: one sample at a time, in the caches.

They know nothing of specs, and nothing of torch: arrays go in and out. `machine.render` runs a
range of samples; it holds no lock, so that threads can share a batch.
"""
