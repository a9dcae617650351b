"""The tables of L1 and their queries: runs in `run`, the health of nodes in `health`."""
