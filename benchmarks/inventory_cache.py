"""What an unchanged inventory costs: at most 50 ms, with 512 nodes, group_vars, host_vars and a vaulted value.

Run as `python -m benchmarks.inventory_cache`. The figures are the medians of fresh processes, since a command is one,
in which the command line is already loaded: `import` is loading the modules of the inventory, `read` is read_inventory,
which sees that no file has changed and that the private keys can be used. CPU time is told beside wall time, because
the machine may have other work.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .measurement import Figure, report

NODES = 512
PROCESSES = 21
LIMIT_MS = 50.0

READ = """
import os, sys, time
from pathlib import Path
import aiops.cli.main
start = time.perf_counter(), time.process_time()
from aiops.layers.l0_nodes.inventory import read_inventory
loaded = time.perf_counter(), time.process_time()
inventory = read_inventory(Path(sys.argv[1]), os.environ, Path(sys.argv[2]))
done = time.perf_counter(), time.process_time()
assert len(inventory.nodes) == int(sys.argv[3])
print(*((after - before) * 1000 for pair in ((start, loaded), (loaded, done)) for before, after in zip(*pair)))
"""


def write(folder: Path) -> Path:
    """An inventory of the kind a large site has."""
    inventory = folder / "inventory.yml"
    inventory.write_text(
        f"""
all:
  vars:
    ansible_user: ops
    ansible_host: "10.0.{{{{ 1 + index | int // 250 }}}}.{{{{ 1 + index | int % 250 }}}}"
    index: "{{{{ inventory_hostname | regex_replace('[^0-9]', '') }}}}"
    ansible_become_password: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      6136
  children:
    head: {{hosts: {{head: {{index: 0}}}}}}
    workers: {{hosts: {{"gpu[001:{NODES - 1}]": }}}}
"""
    )
    for name in ("all", "head", "workers"):
        (folder / "group_vars" / name).mkdir(parents=True)
        (folder / "group_vars" / name / "main.yml").write_text(f"of_{name}: [1, 2, 3]\naiops_packages: [tmux]\n")
    (folder / "host_vars").mkdir()
    for number in range(1, 65):
        (folder / "host_vars" / f"gpu{number:03}.yml").write_text(f"rack: {number // 8}\n")
    return inventory


def main() -> int:
    """Measure, and keep the figures; 1 where the limit is passed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = [sys.executable, "-c", READ, str(write(folder)), str(folder / "cache"), str(NODES)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        start = time.perf_counter()
        subprocess.run(words, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL, timeout=300)
        first = time.perf_counter() - start
        rows = []
        for _ in range(PROCESSES):
            done = subprocess.run(
                words, check=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
            )
            rows.append(tuple(map(float, done.stdout.split())))
    loading, loading_cpu, reading, reading_cpu = zip(*rows, strict=True)
    together = tuple(load + read for load, read in zip(loading, reading, strict=True))
    return report(
        "inventory_cache",
        [
            Figure(f"{NODES} nodes read afresh", "ms", (first * 1000,)),
            Figure("unchanged: loading the modules", "ms", loading),
            Figure("unchanged: loading the modules, CPU", "ms", loading_cpu),
            Figure("unchanged: reading", "ms", reading),
            Figure("unchanged: reading, CPU", "ms", reading_cpu),
            Figure("unchanged: together", "ms", together, limit=LIMIT_MS),
        ],
        simulated="nothing",
    )


if __name__ == "__main__":
    sys.exit(main())
