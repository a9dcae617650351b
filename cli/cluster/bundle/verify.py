"""`aiops cluster bundle verify`: every byte of a bundle, compared with what was signed."""

from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import JsonOption, QuietOption
from aiops.layers.core.errors import InputError

_MIB = 2**20


def verify(
    context: typer.Context,
    *,
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="The bundle. [AIOPS_HOME/bundle]")] = None,
    trust: Annotated[
        str | None,
        typer.Option("--trust", metavar="FINGERPRINT", help="Take bundles signed with this key from now on."),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Read every byte of a bundle and compare it with what was signed."""
    from aiops.layers.l1_cluster.bundle.bundle import KEY, Bundle, damaged
    from aiops.layers.l1_cluster.bundle.signing import read_public, trusted_keys
    from aiops.layers.l1_cluster.bundle.signing import trust as accept

    world: App = context.obj
    screen = world.screen(json=json, quiet=quiet)
    path = (world.working_folder / folder) if folder else world.home / "bundle"
    keys = trusted_keys(world.home)
    if trust is not None:
        wanted = trust.replace(" ", "").upper()
        Bundle.require(path)
        key = read_public(path / KEY)
        if key.fingerprint != wanted:
            raise InputError(
                f"the bundle was signed by {key.fingerprint}, not by {wanted}",
                code="bundle.other_key",
                hints=["take the fingerprint from where the bundle was built, not from the bundle"],
            )
        keys = (*keys, key)
    with screen.step("verify") as step:
        bundle = Bundle.read(path, keys)
        problems = bundle.verify()
        if problems:
            raise damaged(path, problems)
        step.summary = f"{len(bundle.manifest.artefacts)} files, {bundle.size // _MIB} MiB"
    if trust is not None:
        accept(world.home, bundle.key)
    if json:
        screen.document(
            {
                "path": str(path),
                "files": len(bundle.manifest.artefacts),
                "bytes": bundle.size,
                "key": bundle.key.fingerprint,
                "created": bundle.manifest.created,
                "targets": list(bundle.manifest.targets),
            }
        )
    else:
        screen.line(f"{path} is whole: every file is as {bundle.key.fingerprint} signed it")
    return 0
