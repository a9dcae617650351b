"""nvidia-smi of a lab host. Everything it says is simulated.

It reads the state that the lab writes (`/run/aiops-lab/state/nvidia.json`) at every call, and what driver packages
are installed from dpkg. The driver that was found when it was first needed, or at boot, is the loaded one until the
next boot: upgrade the packages and it complains as the real one does.
"""
