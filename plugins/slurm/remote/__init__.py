"""What runs on nodes for the Slurm engine: standard library, Python 3.6, imports nothing of ours."""
