"""Environments of Python for trainers and serving engines: locked, built once on the head, laid on nodes read-only."""
