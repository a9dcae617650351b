"""`aiops node exec -- true` on 32 hosts beside `ansible -m raw` on the same, in one run: the controller's processor.

Both connect anew in every round. Ansible keeps connections for 60 s, so it is also measured over those that it has
kept (warm), which is what its second command within a minute costs; aiops has no such second command.
"""

import sys
import tempfile
from pathlib import Path

from .measurement import Figure, aiops, report, run

NAME = "fanout"
HOSTS = 32
ROUNDS = 3
ANSIBLE = Path(sys.executable).with_name("ansible")


def main() -> int:
    """Measure and report."""
    ours, theirs, warm = [], [], []
    aiops("lab", "down", "--name", NAME, "-q")
    aiops("lab", "up", "--name", NAME, "--nodes", str(HOSTS - 1), "-q")
    try:
        inventory = aiops("lab", "inventory", "--name", NAME).stdout.strip()
        words = (ANSIBLE, "-i", inventory, "all", "-f", str(HOSTS), "-m", "raw", "-a", "true")
        for _ in range(ROUNDS):
            ours.append(aiops("node", "exec", "-i", inventory, "-q", "--", "true"))
            with tempfile.TemporaryDirectory() as kept:
                # For Ansible alone: in our environment it would make the inventory another one, read afresh each time.
                ansible = ("env", f"ANSIBLE_SSH_CONTROL_PATH_DIR={kept}", *words)
                theirs.append(run(*ansible))
                warm.append(run(*ansible))
                for connection in Path(kept).iterdir():
                    run("ssh", "-o", f"ControlPath={connection}", "-O", "exit", "-", expect=(0, 255))
    finally:
        aiops("lab", "down", "--name", NAME, "-q")
    mine = Figure("aiops node exec, CPU per host", "s", tuple(one.cpu / HOSTS for one in ours), limit=0.05)
    plain = Figure("ansible -m raw, CPU per host", "s", tuple(one.cpu / HOSTS for one in theirs))
    return report(
        Path(__file__).stem,
        [
            mine,
            plain,
            Figure("ansible -m raw over kept connections, CPU per host", "s", tuple(one.cpu / HOSTS for one in warm)),
            Figure("aiops node exec, wall", "s", tuple(one.seconds for one in ours)),
            Figure("ansible -m raw, wall", "s", tuple(one.seconds for one in theirs)),
            Figure("ansible over aiops, CPU", "×", (plain.median / mine.median,), limit=5, at_least=True),
        ],
        simulated="the hosts share this machine's kernel; their sshd takes processor time beside the controller",
    )


if __name__ == "__main__":
    sys.exit(main())
