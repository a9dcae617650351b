"""The cases, a module for each domain of checks."""

from . import bus, kernel_events, kernel_log, memory, operating_system, processes, processor, timekeeping

MODULES = (kernel_log, kernel_events, processor, memory, processes, bus, operating_system, timekeeping)
