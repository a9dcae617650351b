"""The lab: a cluster of booted hosts on this machine."""
