"""Building a bundle: resolve, fetch, pack, index, sign, and put in place in one step.

Everything fetched stays in `AIOPS_HOME/cache/bundle`, so that a later build, or the same one after it was cut off,
fetches only what is not there yet; a build whose content equals the bundle in place leaves that one untouched.
"""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.core.event import EventStream
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.simulated_package import SimulatedPackage

from .application import application_deb, can_run_on
from .bundle import MANIFEST, SIGNATURE, SUMS, Bundle
from .closure import MISSING, Closure, missing
from .draft import Draft
from .dummy import dummy_deb
from .licence import Licences
from .lock import Lock
from .manifest import Manifest, content_digest, sums_text
from .place import alone, need_space, put_in_place, require_output, workshop
from .signing import SigningKey, trusted_keys
from .target import Target
from .wheelhouse import Fetched, Wheelhouse
from .wheels import own_wheel, requirements, running_version
from .workspace import AptWorkspace, Wanted

_TARGETS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What a bundle shall hold.

    Attributes:
        wanted: Packages by target; their dependencies follow.
        simulated: Dummy packages for the lab, for every target.
        environments: Locks of Python environments, by target.
        application: Whether aiops itself goes in, for targets whose Python can run it.
        extra_sources: Whole apt source lines, e.g. a vendor's.
        mirror: Replaces the distribution's main mirror.
    """

    wanted: Mapping[Target, tuple[Wanted, ...]]
    simulated: tuple[SimulatedPackage, ...] = ()
    environments: Mapping[Target, tuple[Lock, ...]] = field(default_factory=dict)
    application: bool = True
    extra_sources: tuple[str, ...] = ()
    mirror: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What a build brought.

    Attributes:
        unchanged: The bundle in place already had this content and was left alone.
        fetched: Packages and wheels downloaded; the others came from the cache.
        fetched_bytes: How much that was.
    """

    bundle: Bundle
    unchanged: bool
    fetched: int
    fetched_bytes: int
    seconds: float


def build_bundle(home: Path, output: Path, request: Request, events: EventStream, clock: Clock) -> Built:
    """Build a bundle and put it at `output`.

    Args:
        home: AIOPS_HOME: the key and the cache.
        output: The bundle's folder; an older bundle there is replaced at the very end.
        request: What it shall hold.
        events: Told `lists_updated`, `closure_resolved`, `artefact_downloaded`, `packages_fetched`,
            `wheels_downloaded`, `package_built`, `bundle_signed` and `bundle_built`.
        clock: For times in the manifest.

    Raises:
        InputError: `output` is something else than a bundle.
        ConflictError: Another build of this AIOPS_HOME is running.
        UnreachableError, FailedError: As each step says; the bundle in place is untouched then.
    """
    began = clock.monotonic()
    cache = ensure_folder(home / "cache" / "bundle")
    require_output(output)
    with alone(cache), workshop(output) as work:
        key = SigningKey.of(home)
        build = _Build(cache, work, request, events, clock)
        draft = build.draft()
        present = _same(home, output, content_digest(draft.artefacts), key)
        if present is None:
            draft.seal(key, clock.now())
            draft.write(work)
            bundle = sign_bundle(work, draft, request, key, clock)
            events.emit("bundle_signed", fingerprint=key.public.fingerprint)
            put_in_place(work, output)
            bundle = replace(bundle, path=output)
        else:
            bundle = present
    seconds = clock.monotonic() - began
    unchanged = present is not None
    count = len(bundle.manifest.artefacts)
    events.emit("bundle_built", unchanged=unchanged, artefacts=count, seconds=seconds)
    return Built(bundle, unchanged, build.fetched, build.fetched_bytes, seconds)


class _Build:
    """One build under way."""

    def __init__(self, cache: Path, work: Path, request: Request, events: EventStream, clock: Clock) -> None:
        self._cache = cache
        self._work = work
        self._request = request
        self._events = events
        self._clock = clock
        self.fetched = 0
        self.fetched_bytes = 0

    def draft(self) -> Draft:
        """Fetch and make everything; wheels are resolved beside the packages, for both mostly wait."""
        targets = tuple(self._request.wanted)
        draft = Draft(targets)
        running = [target for target in targets if self._request.application and can_run_on(target)]
        house = Wheelhouse(self._cache / "wheels")
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="wheels") as pool:
            wheels = {target: pool.submit(house.fetch, target, requirements()) for target in running}
            locked = {
                (lock.name, lock.file, target): (lock, pool.submit(house.locked, target, lock))
                for target in targets
                for lock in self._request.environments.get(target, ())
            }
            try:
                self._packages(draft, self._closures(targets))
                self._made_here(draft, targets, wheels)
                self._environments(draft, locked)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        draft.add_lists()
        return draft

    def _closures(self, targets: Sequence[Target]) -> list[Closure]:
        """The packages of all targets, or one error with all that cannot be had."""
        closures, lacking = [], []
        with ThreadPoolExecutor(max_workers=_TARGETS_AT_ONCE, thread_name_prefix="lists") as pool:
            workspaces = [pool.submit(self._workspace, target) for target in targets]
            for target, workspace in zip(targets, workspaces, strict=True):
                apt = workspace.result()
                self._events.emit("lists_updated", target=str(target))
                try:
                    closures.append(Closure.resolve(apt, self._wanted(target)))
                except FailedError as error:
                    if error.code != MISSING:
                        raise
                    lacking.append((target, error.problems))
        if lacking:
            raise missing([target for target, _ in lacking], [one for _, problems in lacking for one in problems])
        return closures

    def _workspace(self, target: Target) -> AptWorkspace:
        folder = ensure_folder(self._cache / str(target).replace("/", "-"))
        need_space(folder, 0, "the package lists")
        apt = AptWorkspace(folder, target, extra_sources=self._request.extra_sources, mirror=self._request.mirror)
        apt.prepare()
        apt.update()
        return apt

    def _wanted(self, target: Target) -> list[Wanted]:
        made_here = {one.name for one in self._request.simulated}
        return [one for one in self._request.wanted[target] if one.name not in made_here]

    def _packages(self, draft: Draft, closures: Sequence[Closure]) -> None:
        licences = Licences(self._cache / "licences.json")
        absent = {closure.apt.target: closure.absent() for closure in closures}
        need_space(self._cache, sum(deb.size for debs in absent.values() for deb in debs), "the packages")
        need_space(self._work, sum(closure.size for closure in closures), "the bundle")
        for closure in closures:
            target, missing_here = closure.apt.target, absent[closure.apt.target]
            self._events.emit(
                "closure_resolved",
                target=str(target),
                packages=len(closure.debs),
                bytes=closure.size,
                to_fetch=len(missing_here),
            )
            names = iter(range(1, len(closure.debs) + 1))
            closure.fetch(
                missing_here,
                lambda name, target=target, names=names, total=len(missing_here): self._tell(  # type: ignore[misc]
                    name, target, next(names, 0), total
                ),
            )
            self.fetched += len(missing_here)
            self.fetched_bytes += sum(deb.size for deb in missing_here)
            self._events.emit("packages_fetched", target=str(target), fetched=len(missing_here))
            licences.learn([(deb.name, deb.sha256, closure.path(deb)) for deb in closure.debs])
            licences.save()
            for deb in closure.debs:
                draft.add_deb(target, deb, closure.path(deb), licences.of(deb.sha256))

    def _tell(self, name: str, target: Target, done: int, total: int) -> None:
        self._events.emit("artefact_downloaded", name, target=str(target), done=done, total=max(total, done))

    def _made_here(self, draft: Draft, targets: Sequence[Target], wheels: Mapping[Target, "Future[Fetched]"]) -> None:
        """Dummies of the lab, and aiops itself."""
        for target in targets:
            for package in self._request.simulated:
                with self._scratch() as scratch:
                    cache = ensure_folder(self._cache / "dummies")
                    path = dummy_deb(package, target.architecture, cache, Path(scratch))
                draft.add_own_deb(target, path, "Apache-2.0", simulated=True)
        if not wheels:
            return
        own = own_wheel(ensure_folder(self._cache / "own"))
        for target, fetching in wheels.items():
            found = fetching.result()
            self.fetched += found.new
            self.fetched_bytes += found.bytes
            paths = (own, *found.paths)
            self._events.emit("wheels_downloaded", target=str(target), wheels=len(paths), python=target.python)
            with self._scratch() as scratch:
                deb, version = application_deb(
                    target,
                    paths,
                    running_version(),
                    cache=ensure_folder(self._cache / "application"),
                    scratch=Path(scratch),
                    at=self._clock.now(),
                )
            self._events.emit("package_built", target=str(target), package="aiops", version=version)
            draft.add_own_deb(target, deb, "Apache-2.0")
            for wheel in paths:
                draft.add_wheel(target, wheel)

    def _environments(
        self, draft: Draft, locked: Mapping[tuple[str, str, Target], tuple[Lock, "Future[Fetched]"]]
    ) -> None:
        """The wheels of environments, each with all targets that it is for."""
        found: dict[tuple[str, str], tuple[Lock, dict[Target, tuple[Path, ...]]]] = {}
        for (name, file, target), (lock, fetching) in locked.items():
            fetched = fetching.result()
            self.fetched += fetched.new
            self.fetched_bytes += fetched.bytes
            found.setdefault((name, file), (lock, {}))[1][target] = fetched.paths
            self._events.emit(
                "environment_locked", name, target=str(target), wheels=len(fetched.paths), python=target.python
            )
        for lock, wheels in found.values():
            draft.add_environment(lock, wheels)

    def _scratch(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(dir=self._work, prefix=".scratch-")


def _same(home: Path, output: Path, content: str, key: SigningKey) -> Bundle | None:
    """The bundle in place, when it is whole, ours and has this content already."""
    try:
        present = Bundle.open(output, trusted_keys(home))
    except AiopsError:
        return None
    if present.manifest.content != content or present.key != key.public or present.verify():
        return None
    return present


def sign_bundle(work: Path, draft: Draft, request: Request, key: SigningKey, clock: Clock) -> Bundle:
    """Write the manifest, its signature and the list of sums."""
    manifest = Manifest(
        clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        running_version(),
        tuple(str(target) for target in request.wanted),
        key.public.fingerprint,
        content_digest(draft.artefacts),
        draft.artefacts,
    )
    content = manifest.to_json()
    signature = key.sign(content)
    bundle = Bundle.of(work, manifest, key.public, content, signature)
    for name, data in ((MANIFEST, content), (SIGNATURE, signature), (SUMS, sums_text(bundle.digests))):
        (work / name).write_bytes(data)
    return bundle
