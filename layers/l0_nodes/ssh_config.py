"""How ssh would reach a node: `ssh -G` resolves the configuration, so it cannot differ from Ansible's OpenSSH.

Options that aiops cannot honour and that would change whom we trust or whether we arrive are refused by name.
"""

import os
import pwd
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import InputError, Problem

from .node import Connection

_RESOLVE_SECONDS = 10.0  # `Match exec` runs commands of the user's
_PLACE = re.compile(r"^(?P<file>\S.*?)[: ]+line (?P<line>\d+): (?P<message>.*)$")
_TOKEN = re.compile(r"%(.)")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")

# Values under which an option asks nothing of us; any other value is refused by the option's name.
_HARMLESS: Mapping[str, frozenset[str]] = {
    "knownhostscommand": frozenset({"none"}),
    "revokedhostkeys": frozenset({"none"}),
    "verifyhostkeydns": frozenset({"false", "no", "ask"}),
    "nohostauthenticationforlocalhost": frozenset({"no"}),
    "pkcs11provider": frozenset({"none"}),
    "pubkeyauthentication": frozenset({"true", "yes", "unbound", "host-bound"}),
    "proxyusefdpass": frozenset({"no"}),
    "bindinterface": frozenset({"none"}),
    "remotecommand": frozenset({"none"}),
    "sessiontype": frozenset({"default"}),
}


@dataclass(frozen=True, slots=True)
class SshConfig:
    """What `ssh -G` says of one host, tokens and `~` expanded.

    Attributes:
        alias: The name that was asked for, before HostName.
        strict: StrictHostKeyChecking: `yes`, `ask`, `accept-new` or `no`.
        proxy_jump: As written: `user@host:port`, several joined by commas; None where there is none.
        config_file: The file given by `-F`, which jump hosts are resolved with too.
        connect_timeout: Seconds, or None when the configuration says none.
        agent: The agent's socket, or None for no agent.
    """

    alias: str
    host: str
    port: int
    user: str
    identity_files: tuple[str, ...]
    certificate_files: tuple[str, ...]
    identities_only: bool
    agent: str | None
    proxy_jump: str | None
    proxy_command: str | None
    user_known_hosts: tuple[str, ...]
    global_known_hosts: tuple[str, ...]
    host_key_alias: str | None
    hash_known_hosts: bool
    strict: str
    check_host_ip: bool
    host_key_algorithms: tuple[str, ...]
    reorders_host_keys: bool
    authority_algorithms: tuple[str, ...]
    public_key_algorithms: tuple[str, ...]
    key_exchanges: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    compression: bool
    least_rsa_bits: int
    family: socket.AddressFamily
    bind_address: str | None
    connect_timeout: float | None
    attempts: int
    alive_interval: int
    alive_count: int
    config_file: str | None


class Resolver:
    """Asks ssh once per way of asking, and keeps the answer for this process.

    An answer costs about 4 ms of CPU, so it is not kept on disk, where it could grow stale.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._answers: dict[tuple[str, ...], Mapping[str, list[str]]] = {}
        self._lock = threading.Lock()

    def of_node(self, name: str, connection: Connection) -> SshConfig:
        """The configuration for a node of the inventory.

        Raises:
            InputError: ssh does not accept its configuration, or an option cannot be honoured.
        """
        return self.resolve(name, connection.address or name, ssh_words(connection))

    def resolve(self, node: str, host: str, words: Sequence[str] = ()) -> SshConfig:
        """The configuration for `ssh WORDS HOST`, on behalf of `node`.

        Raises:
            InputError: ssh does not accept its configuration, or an option cannot be honoured.
        """
        answer = self._ask(node, (*words, "--", host))
        default = self._ask(node, ("-F", "none", "--", "localhost"))
        _refuse(node, answer)
        return _config(
            node,
            host,
            answer,
            default=default,
            config_file=_config_file(words),
            environment=self._environment,
        )

    def _ask(self, node: str, words: tuple[str, ...]) -> Mapping[str, list[str]]:
        with self._lock:
            found = self._answers.get(words)
        if found is None:
            found = self._run(node, words)
            with self._lock:
                self._answers[words] = found
        return found

    def _run(self, node: str, words: tuple[str, ...]) -> Mapping[str, list[str]]:
        try:
            done = subprocess.run(
                ("ssh", "-G", *words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_RESOLVE_SECONDS,
                check=False,
                env=dict(self._environment),
            )
        except FileNotFoundError as error:
            raise InputError(
                "there is no `ssh` on this machine",
                code="ssh.missing",
                hints=["install it: `apt-get install openssh-client`"],
            ) from error
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"{node}: `ssh -G` took longer than {_RESOLVE_SECONDS:.0f} s",
                code="ssh.config",
                hints=["look for a slow `Match exec` in ~/.ssh/config and /etc/ssh/ssh_config"],
            ) from error
        if done.returncode != 0:
            raise _config_error(node, words, done.stderr.decode("utf-8", "replace"))
        found: dict[str, list[str]] = {}
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            key, _, value = line.partition(" ")
            # Nodes differ in hardly any of them: a thousand nodes' answers are then little more than one.
            found.setdefault(sys.intern(key.lower()), []).append(sys.intern(value.strip()))
        return found


def ssh_words(connection: Connection) -> tuple[str, ...]:
    """The options by which the system's ssh reaches a node of the inventory; the inventory's own come first."""
    words: list[str] = []
    if connection.port is not None:
        words += ["-p", str(connection.port)]
    if connection.user is not None:
        words += ["-l", connection.user]
    if connection.key_file is not None:
        words += ["-o", f'IdentityFile="{connection.key_file}"']
    if not connection.host_key_checking:
        words += ["-o", "StrictHostKeyChecking=no"]
    return (*words, *connection.ssh_arguments)


def _config_error(node: str, words: tuple[str, ...], stderr: str) -> InputError:
    problems = []
    for line in stderr.splitlines():
        place = _PLACE.match(line.strip())
        if place:
            problems.append(Problem(place["message"], place["file"], int(place["line"])))
    last = next((line.strip() for line in reversed(stderr.splitlines()) if line.strip()), "no reason given")
    return InputError(
        f"{node}: ssh does not accept its configuration" + ("" if problems else f": {last}"),
        code="ssh.config",
        problems=problems,
        hints=[f"see it with `ssh -G {' '.join(words)}`"],
    )


def _refuse(node: str, answer: Mapping[str, list[str]]) -> None:
    for option, harmless in _HARMLESS.items():
        for value in answer.get(option, ()):
            if value.lower() not in harmless:
                raise InputError(
                    f"{node}: ssh's configuration says `{option} {value}`, which aiops cannot honour",
                    code="ssh.unsupported",
                    hints=["set another value for this host in ~/.ssh/config or in ansible_ssh_common_args"],
                )
    methods = answer.get("preferredauthentications", ["publickey"])[0].split(",")
    if "publickey" not in methods:
        raise InputError(
            f"{node}: ssh's configuration says `preferredauthentications {','.join(methods)}`; aiops logs in by key",
            code="ssh.unsupported",
            hints=["let PreferredAuthentications hold `publickey` for this host"],
        )


def _config_file(words: Sequence[str]) -> str | None:
    for index, word in enumerate(words):
        if word == "-F" and index + 1 < len(words):
            return words[index + 1]
        if word.startswith("-F") and len(word) > len("-F"):
            return word[2:]
    return None


def _config(
    node: str,
    alias: str,
    answer: Mapping[str, list[str]],
    *,
    default: Mapping[str, list[str]],
    config_file: str | None,
    environment: Mapping[str, str],
) -> SshConfig:
    def one(option: str) -> str | None:
        value = answer.get(option, ["none"])[0]
        return None if value.lower() == "none" else value

    def names(option: str) -> tuple[str, ...]:
        return tuple(filter(None, (one(option) or "").split(",")))

    def number(option: str) -> int:
        value = one(option) or "0"
        return int(value) if value.isdigit() else 0

    host = one("hostname") or alias
    port, user = number("port"), one("user") or ""
    expand = _Expansion(node, alias, host, port, user, one("hostkeyalias"), one("proxyjump"), environment)
    algorithms = names("hostkeyalgorithms")
    return SshConfig(
        alias=alias,
        host=host,
        port=port,
        user=user,
        identity_files=tuple(expand.path(value) for value in answer.get("identityfile", ()) if value != "none"),
        certificate_files=tuple(expand.path(value) for value in answer.get("certificatefile", ()) if value != "none"),
        identities_only=one("identitiesonly") == "yes",
        agent=_agent(one("identityagent"), answer, expand, environment),
        proxy_jump=one("proxyjump"),
        proxy_command=expand.tokens(command) if (command := one("proxycommand")) else None,
        user_known_hosts=tuple(expand.path(word) for word in (one("userknownhostsfile") or "").split()),
        global_known_hosts=tuple(expand.path(word) for word in (one("globalknownhostsfile") or "").split()),
        host_key_alias=one("hostkeyalias"),
        hash_known_hosts=one("hashknownhosts") == "yes",
        strict={"true": "yes", "false": "no", "off": "no"}.get(strict := one("stricthostkeychecking") or "ask", strict),
        check_host_ip=one("checkhostip") == "yes",
        host_key_algorithms=algorithms,
        reorders_host_keys=_is_derived(algorithms, tuple(default.get("hostkeyalgorithms", [""])[0].split(","))),
        authority_algorithms=names("casignaturealgorithms"),
        public_key_algorithms=names("pubkeyacceptedalgorithms") or names("pubkeyacceptedkeytypes"),
        key_exchanges=names("kexalgorithms"),
        ciphers=names("ciphers"),
        macs=names("macs"),
        compression=one("compression") == "yes",
        least_rsa_bits=number("requiredrsasize"),
        family={"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(one("addressfamily") or "", socket.AF_UNSPEC),
        bind_address=one("bindaddress"),
        connect_timeout=float(number("connecttimeout")) or None,
        attempts=max(1, number("connectionattempts")),
        alive_interval=number("serveraliveinterval"),
        alive_count=number("serveralivecountmax"),
        config_file=config_file,
    )


def _is_derived(algorithms: Sequence[str], default: Sequence[str]) -> bool:
    """Whether a list is ssh's own, perhaps with `+` or `-`: only then ssh puts the known keys' algorithms first."""
    if tuple(algorithms[: len(default)]) == tuple(default):
        return True
    positions = [default.index(name) for name in algorithms if name in default]
    return len(positions) == len(algorithms) > len(default) // 2 and positions == sorted(positions)


def _agent(
    option: str | None, answer: Mapping[str, list[str]], expand: "_Expansion", environment: Mapping[str, str]
) -> str | None:
    if answer.get("identityagent", [""])[0].lower() == "none":
        return None
    if option is None or option == "SSH_AUTH_SOCK":
        return environment.get("SSH_AUTH_SOCK") or None
    if option.startswith("$") and not option.startswith("${"):
        return environment.get(option[1:]) or None
    return expand.path(option)


@dataclass(frozen=True, slots=True)
class _Expansion:
    """`~`, `%` tokens and `${VARIABLES}`, which `ssh -G` leaves as they are in some options."""

    node: str
    alias: str
    host: str
    port: int
    user: str
    host_key_alias: str | None
    jump: str | None
    environment: Mapping[str, str]

    def path(self, text: str) -> str:
        """A file name."""
        text = self.tokens(_VARIABLE.sub(self._variable, text))
        if text.startswith("~/"):  # ssh goes by the account, not by HOME
            return pwd.getpwuid(os.getuid()).pw_dir + text[1:]
        return str(Path(text).expanduser())

    def tokens(self, text: str) -> str:
        """A text with its `%` tokens replaced."""
        account = pwd.getpwuid(os.getuid())
        values = {
            "%": "%",
            "h": self.host,
            "n": self.alias,
            "p": str(self.port),
            "r": self.user,
            "k": self.host_key_alias or self.alias,
            "j": self.jump or "",
            "u": account.pw_name,
            "d": account.pw_dir,
            "i": str(os.getuid()),
            "l": socket.gethostname(),
            "L": socket.gethostname().partition(".")[0],
        }

        def replace(found: re.Match[str]) -> str:
            if found[1] not in values:
                raise InputError(
                    f"{self.node}: ssh's configuration holds `{found[0]}` in `{text}`, which aiops cannot expand",
                    code="ssh.unsupported",
                    hints=["write the value out for this host"],
                )
            return values[found[1]]

        return _TOKEN.sub(replace, text)

    def _variable(self, found: re.Match[str]) -> str:
        value = self.environment.get(found[1])
        if value is None:
            raise InputError(
                f"{self.node}: ssh's configuration uses `{found[0]}`, which is not in the environment",
                code="ssh.config",
            )
        return value
