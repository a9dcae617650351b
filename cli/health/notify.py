"""`aiops health notify`: whether those who are to be told can be."""

import threading
from typing import TYPE_CHECKING

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit, exit_of, worst
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.health.notice import Notice
    from aiops.layers.l1_cluster.health.notifier import Notifier


def notify(
    context: typer.Context, *, inventory: InventoryOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> int:
    """Send a test message to every notifier that aiops.toml asks for; 3 where one does not answer."""
    from aiops.layers.core.identifier import token
    from aiops.layers.l1_cluster.health.notice import Notice
    from aiops.layers.l1_cluster.health.notifier import read_notifiers

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    notifiers = read_notifiers(read.settings, aiops.plugins, aiops.environment)
    if not notifiers:
        raise InputError(
            f"{read.cluster} has no notifier",
            code="notify.none",
            hints=["name one in aiops.toml, as in `[health.notify.webhook]`: docs/reference/aiops.toml shows them"],
        )
    notice = Notice(token(), read.cluster, aiops.clock.now(), test=True)
    errors = {one.name: _sent(one, notice) for one in notifiers}
    if json:
        told = [(one, errors[one.name]) for one in notifiers]
        screen.document(
            [
                {"notifier": one.name, "place": one.place, "id": notice.id, "error": error and error.message}
                for one, error in told
            ]
        )
    else:
        rows = [(one.name, "failed" if errors[one.name] else "sent", one.place) for one in notifiers]
        screen.table(("notifier", "state", "to"), rows)
        for error in errors.values():
            if error is not None:
                screen.error(error)
    return worst(Exit.DONE if error is None else exit_of(error) for error in errors.values())


def _sent(notifier: "Notifier", notice: "Notice") -> AiopsError | None:
    """Why it could not be sent; None where it was."""
    from aiops.layers.l1_cluster.health.outbox import SECONDS

    found: list[AiopsError | None] = []

    def send() -> None:
        try:
            notifier.send(notice, SECONDS)
        except AiopsError as error:
            found.append(error)
        except Exception as error:  # noqa: BLE001 - a stranger's notifier is no defect of ours
            found.append(
                FailedError(
                    f"notifier `{notifier.name}` failed: {type(error).__name__}",
                    code="notify.failed",
                    hints=[f"see where it comes from: `aiops plugin show notifier.{notifier.name}`"],
                )
            )
        else:
            found.append(None)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(2 * SECONDS)
    if found:
        return found[0]
    return UnreachableError(
        f"notifier `{notifier.name}` did not end within {2 * SECONDS:g} s",
        code="notify.unreachable",
        hints=["look at the receiver, then `aiops health notify`"],
    )
