"""The layers, each usable alone: core, l0_nodes, l1_cluster."""
