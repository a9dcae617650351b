"""Shipped plugins. They register by entry point, as a stranger's plugin does."""
