"""What a node's /etc/hosts says, and which of its lines are not ours to touch."""

from collections.abc import Set as AbstractSet

BEGIN = "# aiops: begin"
END = "# aiops: end"


def full_name(hostname: str, text: str) -> str:
    """The full name that a node calls itself by: from its own hosts file, where installers put it.

    Args:
        hostname: What the node calls itself, with or without its domain.
        text: Its hosts file.

    Returns:
        `gpu01.example.org`, or `gpu01` where the file knows no more.
    """
    short = hostname.partition(".")[0]
    start = f"{short}."
    if start in text:  # seldom: a node's file names all other nodes of the cluster too
        for line in text.splitlines():
            for word in _names(line):
                if word.startswith(start):
                    return word
    return short


def foreign_lines(text: str, names: AbstractSet[str]) -> tuple[str, ...]:
    """The lines that stay: outside our marks, and giving none of `names` an address (127.0.1.1, of installers)."""
    lines = []
    ours = False
    for line in text.splitlines():
        if line == BEGIN:
            ours = True
        if not ours and names.isdisjoint(_names(line)):
            lines.append(line)
        if line == END:
            ours = False
    return tuple(lines)


def _names(line: str) -> list[str]:
    """The names that a line gives to its address."""
    return line.partition("#")[0].split()[1:]
