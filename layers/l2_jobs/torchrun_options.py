"""What a torchrun command says before its script, and which of it aiops says itself. Pure.

Options and which of them take a value are those of `torch.distributed.run` in torch 2.13 (`torchrun --help`).
"""

from collections.abc import Iterator, Sequence

_OURS = {
    "--nnodes": "how many nodes there are is said by `nodes:`",
    "--nproc-per-node": "how many processes each node has is said by `processes:`",
    "--node-rank": "aiops gives each node its rank",
    "--max-restarts": "aiops is the only one that restarts, as `restarts:` says",
    "--standalone": "aiops gives each attempt a rendezvous of its own",
    **dict.fromkeys(
        ("--rdzv-backend", "--rdzv-endpoint", "--rdzv-id", "--rdzv-conf", "--master-addr", "--master-port"),
        "aiops gives each attempt a rendezvous of its own",
    ),
    "--local-addr": "aiops knows the addresses of the nodes",
    **dict.fromkeys(("--log-dir", "--redirects", "--tee"), "aiops keeps the output of every rank: `aiops job logs`"),
}
_SHORT = {"-r": "--redirects", "-t": "--tee", "-m": "--module"}
_VALUED = {
    *(name for name in _OURS if name != "--standalone"),
    *("--role", "--monitor-interval", "--start-method", "--event-log-handler", "--local-ranks-filter"),
    *("--logs-specs", "--numa-binding", "--signals-to-handle", "--duplicate-stdout-filters"),
    "--duplicate-stderr-filters",
}
_FLAGS = {"--standalone", "--module", "--no-python", "--run-path", "--virtual-local-rank"}


def ours(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options that aiops gives itself, as they are written, each with where they are said instead."""
    for word, name in _options(words):
        if name in _OURS:
            yield word, _OURS[name]


def names_script(words: Sequence[str]) -> bool:
    """Whether something follows the options; true where an option is not known, for then nobody can tell."""
    names = list(_names(words))
    return None in names or any(name not in {"", *_VALUED, *_FLAGS} for name in names)


def split(words: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """What a command says behind `torchrun`, without what aiops says itself.

    Returns:
        Its options; whether its script is a program that needs no Python (`--no-python`); the script and its words.
    """
    options: list[str] = []
    bare, name = False, ""
    for number, (word, found) in enumerate(zip(words, _names(words), strict=False)):
        if found is None:
            return options, bare, list(words[number + (word == "--") :])
        name = found or name
        if name == "--no-python":
            bare = True
        if name not in _OURS:
            options.append(word)
    return options, bare, []


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word, name in zip(words, _names(words), strict=False):
        if name is None:
            return
        if name:
            yield word, name


def _names(words: Sequence[str]) -> Iterator[str | None]:
    """For each word behind `torchrun`: an option's full name, an empty text for a value, None at the script."""
    value = False
    for word in words:
        if value:
            yield ""
            value = False
            continue
        if not word.startswith("-") or word == "--":
            yield None
            return
        name, equals, _ = word.partition("=")
        name = _SHORT.get(name, name.replace("_", "-"))
        yield name
        value = not equals and name in _VALUED
