"""Paths: what all images do to all layers, compared pair by pair between two natural baselines."""
