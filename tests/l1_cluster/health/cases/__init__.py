"""The cases, a module for each domain of checks."""

from . import timekeeping

MODULES = (timekeeping,)
