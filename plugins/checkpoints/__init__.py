"""Formats of checkpoints, one module each; `parts` is what several of them have alike."""
