"""Why a node that was reached was lost on the way: it is asked once more at the end. Pure."""

from dataclasses import dataclass

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.facts import Facts


@dataclass(frozen=True, slots=True)
class Loss:
    """A node that failed in a phase after it had answered.

    Attributes:
        boot_id: Of the boot that the phase began in; None where it was not known.
        seen: Of the boot that it was in when it was looked at after it had failed; None where it did not answer then.
        silent: Whether the connection to it was lost; otherwise something on it failed, and why is known.
        rebooting: Whether the phase itself was to reboot it.
        at: Seconds of the monotonic clock when it was noticed.
    """

    node: str
    phase: str
    boot_id: str | None
    silent: bool
    rebooting: bool
    at: float
    seen: str | None = None


def explain(loss: Loss, now: Facts | AiopsError) -> str:
    """Why the node was lost, in one line; empty where no more is known than was said already.

    Args:
        loss: What happened.
        now: What it says when it is asked again, or why it does not.
    """
    phase = f"phase `{loss.phase}`"
    if isinstance(now, AiopsError):
        error = now.message.removeprefix(f"{loss.node}: ")
        return f"it stopped answering during {phase} and does not answer now: {error}" if loss.silent else ""
    # What was looked at right after it failed counts: it may have been mended and rebooted by somebody since.
    booted = now.boot_id if loss.silent and loss.seen is None else loss.seen
    if None not in {booted, loss.boot_id} and booted != loss.boot_id and not loss.rebooting:
        return f"it was rebooted during {phase}, and not by aiops; it answers again"
    return f"the connection to it was lost during {phase}; it answers again" if loss.silent else ""
