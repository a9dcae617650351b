"""The tables of L2."""
