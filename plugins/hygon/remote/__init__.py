"""Code that runs on lab hosts: standard library only, Python 3.6 syntax, imports nothing of ours."""
