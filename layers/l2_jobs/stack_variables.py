"""What the processes of a job see of the environment that they run in."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a node's own programs are, as a launcher has it."""


def variables(path: str) -> dict[str, str]:
    """The environment's programs come first."""
    return {"PATH": f"{path}/bin:{PATH}", "VIRTUAL_ENV": path}
