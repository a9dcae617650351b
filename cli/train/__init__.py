"""`aiops train`: a job is started and followed."""

from .starting import train

__all__ = ["train"]
