"""What counts of what was found, beside what is remembered: the rules of time. Pure.

- What flaps must be seen in several examinations in a row (`Check.sightings`), at least half a minute apart.
- While a node has only just booted, what services still bring up does not count (`Check.grace`).
- What is no longer seen is over only after a while, so that coming and going is one episode.
- What comes back after reboots that were to cure it is a matter for service.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .check import Check
from .episode import Episode
from .finding import Finding, Key
from .verdict import Verdict, worst

GRACE = timedelta(seconds=300)
"""After a boot; as NVSentinel gives services to start."""

STICKY = timedelta(minutes=10)
"""What was not seen for so long is over; as gpud holds a port's flap."""

APART = timedelta(seconds=30)
"""Two looks within less are one: a person who looks twice has seen nothing new."""

BOOTS = 2
"""What was seen in so many earlier boots and is there again is not cured by another (gpud: two reboots)."""

BOOTS_WINDOW = timedelta(days=30)
CURED_BY_BOOT = frozenset({"reset_device", "reboot"})
"""Actions that a boot takes too."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it.

    Attributes:
        findings: What was found, each with its standing.
        began: Episodes that begin now; `went_on` those that go on, as they are now; `ended` those that are over.
    """

    findings: tuple[Finding, ...] = ()
    began: tuple[Episode, ...] = ()
    went_on: tuple[Episode, ...] = ()
    ended: tuple[Episode, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """What settling rests on.

    Attributes:
        at: When the nodes were asked.
        looked: Names of the nodes that were asked and answered; of others nothing is known to be over.
        examined: By node, the checks that were made there in this examination; what another level asks goes on.
        ages: Seconds since its boot, by node; a node that is not in it has not said.
        boot_ids: Likewise its boot.
        open: Episodes that go on.
        past: Episodes that are over and that a boot was to cure, for what comes back.
        repaired: When nodes were repaired last: what was last seen before that, and is not now, is over at once.
    """

    at: datetime
    looked: frozenset[str]
    examined: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ages: Mapping[str, float] = field(default_factory=dict)
    boot_ids: Mapping[str, str | None] = field(default_factory=dict)
    open: Mapping[Key, Episode] = field(default_factory=dict)
    past: Sequence[Episode] = ()
    repaired: Mapping[str, datetime] = field(default_factory=dict)


def settle(findings: Iterable[Finding], checks: Mapping[str, Check], situation: Situation) -> Settled:
    """Judge `findings` by what is remembered.

    Args:
        findings: Of one examination.
        checks: By id.
        situation: What is remembered, and when this is.
    """
    at = situation.at
    told: list[Finding] = []
    began: list[Episode] = []
    went_on: list[Episode] = []
    ended: list[Episode] = []
    seen: set[Key] = set()
    for finding in findings:
        if finding.key in seen:
            told.append(finding)
            continue
        seen.add(finding.key)
        before = situation.open.get(finding.key)
        boot_id = situation.boot_ids.get(finding.node)
        settled = _settled(finding, checks.get(finding.check), before, situation)
        told.append(settled)
        if before is not None and before.verdict == finding.verdict:
            apart = at - before.seen >= APART
            went_on.append(
                replace(
                    before,
                    message=settled.message,
                    evidence=settled.evidence,
                    action=settled.action,
                    owner=settled.owner,
                    counted=before.counted or settled.counts,
                    looks=before.looks + apart,
                    seen=at if apart else before.seen,
                )
            )
            continue
        if before is not None:  # it has become better or worse: another episode, which has been known since then
            ended.append(replace(before, ended=at))
        began.append(
            Episode(
                finding.node,
                finding.check,
                finding.about,
                finding.verdict,
                settled.message,
                at,
                at,
                settled.evidence,
                settled.action,
                settled.owner,
                counted=settled.counts,
                boot_id=boot_id,
                looks=1 if before is None else before.looks + (at - before.seen >= APART),
            )
        )
    for key, episode in situation.open.items():
        if key in seen or episode.node not in situation.looked or not _examined(episode, situation):
            continue
        mended = episode.node in situation.repaired and episode.seen <= situation.repaired[episode.node]
        # What can be read again is known at once, and so is what a repair has cured.
        if episode.verdict == "unknown" or mended or at - episode.seen >= STICKY:
            ended.append(replace(episode, ended=episode.seen))
        elif episode.counted:
            told.append(_recovering(episode))
    return Settled(tuple(told), tuple(began), tuple(went_on), tuple(ended))


def _settled(finding: Finding, check: Check | None, before: Episode | None, situation: Situation) -> Finding:
    since = situation.at if before is None else before.started
    finding = replace(finding, since=since)
    if finding.standing == "observed" or check is None or finding.verdict == "unknown":
        return finding  # what could not be read is unknown at once: it is never taken for well
    age = situation.ages.get(finding.node)
    if check.grace and age is not None and age < GRACE.total_seconds():
        return replace(finding, standing="starting")
    looks = 1 if before is None else before.looks + (situation.at - before.seen >= APART)
    if looks < check.sightings:
        return replace(finding, standing="once")
    return _escalated(finding, situation)


def _escalated(finding: Finding, situation: Situation) -> Finding:
    """What a reboot was to cure, and what is there again after so many of them, is for service."""
    if finding.action not in CURED_BY_BOOT:
        return finding
    now = situation.boot_ids.get(finding.node)
    boots = {
        one.boot_id
        for one in situation.past
        if one.key == finding.key
        and one.counted
        and one.boot_id not in (None, now)
        and situation.at - one.seen <= BOOTS_WINDOW
    }
    if now is None or len(boots) < BOOTS:
        return finding
    message = f"{finding.message}; it was there before {len(boots)} reboots too"
    return replace(finding, action="service", message=message)


def _examined(episode: Episode, situation: Situation) -> bool:
    return episode.check in situation.examined.get(episode.node, ())


def _recovering(episode: Episode) -> Finding:
    return Finding(
        episode.node,
        episode.check,
        episode.verdict,
        episode.message,
        episode.about,
        episode.evidence,
        episode.action,
        episode.owner,
        "recovering",
        episode.started,
    )


def verdicts(findings: Iterable[Finding], nodes: Iterable[str]) -> dict[str, Verdict]:
    """The verdict of each of `nodes`: the worst of what counts there."""
    found: dict[str, list[Verdict]] = {name: [] for name in nodes}
    for finding in findings:
        if finding.counts and finding.node in found:
            found[finding.node].append(finding.verdict)
    return {name: worst(several) for name, several in found.items()}
