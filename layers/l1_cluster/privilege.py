"""Who can be root on a node: the rules of sudo, by digest, and the accounts behind them."""

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .trait import Trait

PRIVILEGED = ("root", "sudo", "wheel", "admin", "docker", "lxd")
"""Groups whose members are root, or can make themselves so."""

SUDOERS, ACCOUNTS = "trait.sudoers", "trait.accounts"

_SUDOERS = "/etc/sudoers"
_PASSWD = "/etc/passwd"  # noqa: S105 - a path
_NO_FILE = "No such file or directory"
_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4
_MISSING_KEY = 2
_DIGEST = 64

PRIVILEGE_ASKS = (
    Ask(SUDOERS, ("find", "-L", _SUDOERS, f"{_SUDOERS}.d", "-type", "f", "-exec", "sha256sum", "{}", "+")),
    Ask(ACCOUNTS, ("getent", "group", *PRIVILEGED), (_PASSWD,), timeout=10.0, max_bytes=1_048_576),
)


def sudoers(record: Record) -> Trait:
    """The files that sudo reads, by digest: what is in them stays on the node.

    Raises:
        UnreadableError: They could not be read.
    """
    answer = record.answer(SUDOERS)
    if answer.exit_status == 1 and all(line.endswith(_NO_FILE) for line in answer.stderr.strip().splitlines()):
        text = answer.stdout
    else:
        text = said(answer)
    items = {}
    for line in text.splitlines():
        digest, _, path = line.removeprefix("\\").partition("  ")
        name = path.rpartition("/")[2]
        if len(digest) != _DIGEST or not path:
            raise UnreadableError(f"sha256sum says `{line[:80]}`")
        if path == _SUDOERS or not ("." in name or name.endswith("~")):  # sudo skips these in sudoers.d
            items[path] = f"sha256 {digest[:12]}"
    return Trait("sudoers", items, whole=True)


def privileged_users(record: Record) -> Trait:
    """Who is root by number, and who is in a group that can become root.

    Raises:
        UnreadableError: They could not be read.
    """
    answer = record.answer(ACCOUNTS)
    if answer.exit_status != _MISSING_KEY:  # some of the groups are nowhere
        said(answer)
    accounts = [line.split(":") for line in file(answer, _PASSWD).splitlines()]
    accounts = [one for one in accounts if len(one) == _PASSWD_FIELDS]
    if not accounts:
        raise UnreadableError(f"{_PASSWD} has no account")
    items = dict.fromkeys((f"{one[0]} with uid 0" for one in accounts if one[2] == "0"), "")
    for line in answer.stdout.splitlines():
        fields = line.split(":")
        if len(fields) != _GROUP_FIELDS:
            raise UnreadableError(f"getent says `{line[:80]}`")
        members = {name for name in fields[3].split(",") if name}
        members |= {one[0] for one in accounts if one[3] == fields[2]} - {"root"}
        items |= dict.fromkeys((f"{name} in {fields[0]}" for name in sorted(members)), "")
    return Trait("privileged users", items, whole=True)
