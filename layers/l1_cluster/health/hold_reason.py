"""By what is told who holds a node out of service: how the reasons of ours begin, and who acted."""

from aiops.layers.l1_cluster.draining import PREFIX

REASON = f"{PREFIX} health"
"""What the reason of every node begins with that was drained for its health."""

OPERATOR = f"{PREFIX} operator"
"""Likewise of those that a person has drained by our command; they are given back by a person alone."""

POLICY = "policy"
"""The actor of what was done without a person."""
