"""What is said of mistakes in a job.yml: its keys, what other tools call them, and its patterns in words."""

from .job_document import PATTERN_WORDS, JobDocument
from .mistake import Grammar

_SYNONYMS = {
    **dict.fromkeys(("environment", "environ", "vars", "variables"), "env"),
    **dict.fromkeys(("workdir", "working_dir", "working_directory", "cwd", "directory", "chdir"), "folder"),
    **dict.fromkeys(("cmd", "args", "argv", "run", "script", "entrypoint"), "command"),
    **dict.fromkeys(("gpus", "gpu", "accelerators", "gres"), "devices"),
    **dict.fromkeys(("container", "docker_image"), "image"),
    **dict.fromkeys(("nproc", "nproc_per_node", "processes_per_node", "tasks", "ranks"), "processes"),
    **dict.fromkeys(("backend", "scheduler"), "engine"),
    **dict.fromkeys(("checkpoints", "checkpointing", "output_dir"), "checkpoint"),
    **dict.fromkeys(("partition",), "queue"),
    **dict.fromkeys(("max_restarts", "retries"), "restarts"),
    **dict.fromkeys(("timeout", "walltime", "time_limit"), "time"),
    **dict.fromkeys(("cpus", "cpu"), "processors"),
    **dict.fromkeys(("mem", "ram"), "memory"),
    **dict.fromkeys(("dir",), "path"),
    **dict.fromkeys(("nodelist", "hosts"), "only"),
}
"""What other tools call things."""

GRAMMAR = Grammar(JobDocument, _SYNONYMS, PATTERN_WORDS)
