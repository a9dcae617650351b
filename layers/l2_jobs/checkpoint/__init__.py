"""Checkpoints: found, judged, chosen, set aside and pruned."""
