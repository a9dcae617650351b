"""What runs on nodes, in an environment of its own: torch, transformers, peft, and of ours `aiops.checkpoint` alone."""
