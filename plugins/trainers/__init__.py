"""Trainers: plugins of the kind `trainer`, each rendering a run for one tool."""
