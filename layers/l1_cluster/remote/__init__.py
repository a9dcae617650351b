"""Code that runs on nodes: standard library only, Python 3.6 syntax, imports nothing of ours."""
