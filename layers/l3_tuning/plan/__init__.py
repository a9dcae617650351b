"""Plan: whether a recipe fits before anything starts. Pure: frozen data in, verdicts out; nothing here imports torch.

docs/memory.md has the formulas with their sources, and how well they hold.
"""
