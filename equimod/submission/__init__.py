"""Runs on a cluster: submitted, watched, resumed and collected."""
