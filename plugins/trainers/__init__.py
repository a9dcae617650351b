"""Plugins of the kind `trainer`."""
