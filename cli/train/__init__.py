"""`aiops train`: a job or a recipe is started and followed; `aiops recipe run` with it."""

from .recipe_run import run
from .starting import train

__all__ = ["run", "train"]
