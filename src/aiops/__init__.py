"""aiops runs a private AI compute cluster over SSH, from bare nodes to served models."""

__version__ = "0.1.0"
