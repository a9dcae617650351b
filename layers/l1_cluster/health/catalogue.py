"""All checks: those of aiops, domain by domain, and those of plugins of the kind `health`."""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from aiops.layers.core.errors import FailedError, InputError, NotFoundError
from aiops.layers.core.plugin import Plugins

from .check import Check, HealthHooks

OURS = "aiops"


def shipped_checks() -> tuple[Check, ...]:
    """The checks of aiops itself."""
    from . import (
        accelerator_trends,
        accelerators,
        bmc,
        bus,
        collective,
        disk_events,
        disk_trial,
        drive_health,
        drives,
        ethernet,
        ethernet_errors,
        fabric,
        filesystems,
        flaps,
        hardware_events,
        infiniband,
        kernel_events,
        link_errors,
        loopback,
        memory,
        memory_trial,
        mounts,
        names,
        operating_system,
        pace,
        packet_size,
        processes,
        processor,
        services,
        skew,
        timekeeping,
        trends,
        verbs,
        watch,
    )

    domains = (
        accelerators,
        kernel_events,
        hardware_events,
        disk_events,
        processor,
        memory,
        processes,
        bus,
        infiniband,
        link_errors,
        verbs,
        ethernet,
        ethernet_errors,
        packet_size,
        flaps,
        fabric,
        names,
        operating_system,
        skew,
        pace,
        filesystems,
        mounts,
        drives,
        drive_health,
        services,
        bmc,
        timekeeping,
        watch,
        trends,
        accelerator_trends,
        memory_trial,
        disk_trial,
        collective,
        loopback,
    )
    return tuple(replace(check, plugin=OURS) for domain in domains for check in domain.CHECKS)


def checks_of(plugins: Plugins) -> tuple[Check, ...]:
    """All checks, in the order they are told.

    Raises:
        PluginError: A plugin is broken.
        FailedError: Two checks have one id.
    """
    found = list(shipped_checks())
    for name, checks in plugins.answers("health", HealthHooks, "health_checks"):
        found += [replace(check, plugin=name) for check in checks]
    return unique(found)


def unique(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks as they are.

    Raises:
        FailedError: Two have one id.
    """
    by_id: dict[str, Check] = {}
    for check in checks:
        other = by_id.setdefault(check.id, check)
        if other is not check:
            raise FailedError(
                f"two checks are called `{check.id}`: one of {other.plugin}, one of {check.plugin}",
                code="health.two_checks",
                hints=["remove one of the two plugins; `aiops plugin list` shows all"],
            )
    return tuple(by_id.values())


def called(checks: Iterable[Check], name: str) -> Check:
    """The check called `name`.

    Raises:
        NotFoundError: There is none; the nearest is named.
    """
    by_id = {check.id: check for check in checks}
    if name in by_id:
        return by_id[name]
    raise NotFoundError(f"there is no check `{name}`", code="health.unknown_check", hints=[_nearest(name, by_id)])


def select(checks: Iterable[Check], names: Iterable[str] = (), tags: Iterable[str] = ()) -> tuple[Check, ...]:
    """The checks that are called by one of `names`, or have one of `tags`; all where neither is given.

    Raises:
        InputError: There is no such check or tag; the nearest is named.
    """
    everything, names, tags = tuple(checks), tuple(names), tuple(tags)
    if not names and not tags:
        return everything
    ids = [check.id for check in everything]
    known = sorted({tag for check in everything for tag in check.all_tags})
    for kind, words, there in (("check", names, ids), ("tag", tags, known)):
        for word in words:
            if word not in there:
                raise InputError(
                    f"there is no {kind} `{word}`", code=f"health.unknown_{kind}", hints=[_nearest(word, there)]
                )
    return tuple(check for check in everything if check.id in names or set(check.all_tags) & set(tags))


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else "`aiops health checks` lists them"
