"""Pipelines of diffusers at a tiny random size, by family: a few milliseconds a step."""
