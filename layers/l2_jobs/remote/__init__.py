"""What runs on nodes for jobs: standard library, Python 3.6, imports nothing of ours but each other."""
