"""Building a bundle: resolve, fetch, pack, index, sign, and put in place in one step.

Everything fetched stays in `AIOPS_HOME/cache/bundle`, so that a later build fetches only what changed; a build
whose content equals the bundle in place leaves that one untouched.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, InputError
from aiops.layers.core.event import EventStream
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.simulated_package import SimulatedPackage

from .application import application_deb, can_run_on
from .bundle import KEY, MANIFEST, SIGNATURE, Bundle
from .control import parse_paragraphs
from .deb import compress, read_control
from .dummy import dummy_deb
from .licence import licence_of
from .manifest import Artefact, Manifest, content_digest, sha256_of
from .repository import package_paragraph, packages_text, pool_path, release_text
from .signing import SigningKey, trusted_keys
from .target import Target
from .wheels import download_wheels, own_wheel, requirements, running_version, wheel_metadata
from .workspace import AptWorkspace, Deb, Wanted

_MARGIN = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What a bundle shall hold.

    Attributes:
        wanted: Packages by target; their dependencies follow.
        simulated: Dummy packages for the lab, for every target.
        application: Whether aiops itself goes in, for targets whose Python can run it.
        extra_sources: Whole apt source lines, e.g. a vendor's.
        mirror: Replaces the distribution's main mirror.
    """

    wanted: Mapping[Target, tuple[Wanted, ...]]
    simulated: tuple[SimulatedPackage, ...] = ()
    application: bool = True
    extra_sources: tuple[str, ...] = ()
    mirror: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What a build brought.

    Attributes:
        unchanged: The bundle in place already had this content and was left alone.
        fetched: Packages downloaded; the others came from the cache.
    """

    bundle: Bundle
    unchanged: bool
    fetched: int
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
    _check_output(output)
    with _alone(cache):
        key = SigningKey.of(home)
        ensure_folder(output.parent)
        _tidy(output)
        work = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}.build-"))
        try:
            builder = _Builder(cache, work, request, events, clock)
            artefacts = [one for target in request.wanted for one in builder.target(target)]
            artefacts += builder.finish(key)
            present = _same(home, output, content_digest(artefacts), key)
            if present is not None:
                bundle = present
            else:
                bundle = _seal(work, artefacts, request, key, clock)
                events.emit("bundle_signed", fingerprint=key.public.fingerprint)
                bundle = _put(bundle, output)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    seconds = clock.monotonic() - began
    events.emit("bundle_built", unchanged=present is not None, artefacts=len(artefacts), seconds=seconds)
    return Built(bundle, present is not None, builder.fetched, seconds)


class _Builder:
    """Collects the files of one build under `work`."""

    def __init__(self, cache: Path, work: Path, request: Request, events: EventStream, clock: Clock) -> None:
        self._cache = cache
        self._work = work
        self._request = request
        self._events = events
        self._clock = clock
        self._paragraphs: dict[Target, list[dict[str, str]]] = {}
        self._licences = _Licences(cache / "licences.json")
        self.fetched = 0

    def target(self, target: Target) -> list[Artefact]:
        """All debs and wheels of one target."""
        self._paragraphs[target] = []
        artefacts = [self._closure_deb(target, deb, path) for deb, path in self._closure(target)]
        for package in self._request.simulated:
            with self._scratch() as scratch:
                path = dummy_deb(package, target.architecture, self._cache_folder("dummies"), scratch)
            artefacts.append(self._own_deb(target, path, "Apache-2.0", simulated=True))
        if self._request.application and can_run_on(target):
            artefacts += self._application(target)
        self._licences.save()
        return artefacts

    def finish(self, key: SigningKey) -> list[Artefact]:
        """The package lists, the signed Release of each release, and the public key."""
        artefacts = []
        for codename in dict.fromkeys(target.codename for target in self._paragraphs):
            targets = [target for target in self._paragraphs if target.codename == codename]
            lists: dict[str, bytes] = {}
            for target in targets:
                text = packages_text(self._paragraphs[target])
                lists[f"main/binary-{target.architecture}/Packages"] = text
                lists[f"main/binary-{target.architecture}/Packages.gz"] = compress(text)
            release = release_text(codename, [one.architecture for one in targets], lists, self._clock.now())
            named = {**lists, "Release": release, "InRelease": key.sign_inline(release)}
            for path, content in named.items():
                artefacts.append(self._index(f"apt/dists/{codename}/{path}", content, codename))
        artefacts.append(self._index(KEY, key.public.armored.encode(), None, kind_key=True))
        return artefacts

    def _closure(self, target: Target) -> Iterator[tuple[Deb, Path]]:
        """Each package of the target, its file in the cache and verified."""
        folder = ensure_folder(self._cache / str(target).replace("/", "-"))
        apt = AptWorkspace(folder, target, extra_sources=self._request.extra_sources, mirror=self._request.mirror)
        apt.prepare()
        _need_space(folder, _MARGIN, "the package lists")
        apt.update()
        self._events.emit("lists_updated", target=str(target))
        made_here = {one.name for one in self._request.simulated}
        groups = _by_phase(one for one in self._request.wanted[target] if one.name not in made_here)
        closures = [apt.resolve(group) for group in groups]
        debs = {(deb.name, deb.version, deb.architecture): deb for closure in closures for deb in closure}
        for deb in debs.values():
            file = apt.archives / deb.file
            if file.exists() and sha256_of(file) != deb.sha256:
                file.unlink()  # a spoilt cache must never reach a bundle
        absent = [deb for deb in debs.values() if not (apt.archives / deb.file).exists()]
        total = sum(deb.size for deb in debs.values())
        self._events.emit("closure_resolved", target=str(target), packages=len(debs), bytes=total, to_fetch=len(absent))
        _need_space(folder, sum(deb.size for deb in absent) + _MARGIN, "the packages")
        _need_space(self._work, total + _MARGIN, "the bundle")
        self._fetch(apt, groups, closures, len(absent))
        for deb in debs.values():
            file = apt.archives / deb.file
            if not file.exists() or sha256_of(file) != deb.sha256:
                raise FailedError(
                    f"{deb.file} is not what the index of {target} promises",
                    code="bundle.hash",
                    hints=["run this again; if it stays, the mirror is broken: `--mirror URL` takes another"],
                )
        self._events.emit("packages_fetched", target=str(target), fetched=len(absent))
        self._licences.learn([(deb.name, deb.sha256, apt.archives / deb.file) for deb in debs.values()])
        for deb in sorted(debs.values(), key=lambda one: (one.name, one.version)):
            yield deb, apt.archives / deb.file

    def _fetch(
        self, apt: AptWorkspace, groups: Sequence[Sequence[Wanted]], closures: Sequence[Sequence[Deb]], total: int
    ) -> None:
        done = 0

        def count(name: str) -> None:
            nonlocal done
            done += 1
            self._events.emit("artefact_downloaded", name, target=str(apt.target), done=done, total=max(total, done))

        for group, closure in zip(groups, closures, strict=True):
            if any(not (apt.archives / deb.file).exists() for deb in closure):
                apt.download(group, count)
        self.fetched += done

    def _closure_deb(self, target: Target, deb: Deb, file: Path) -> Artefact:
        path = pool_path(target.codename, deb.file)
        _copy(file, self._work / "apt" / path)
        self._paragraphs[target].append(package_paragraph(deb.fields, path=path, size=deb.size, sha256=deb.sha256))
        return Artefact(
            "deb",
            f"apt/{path}",
            deb.sha256,
            deb.size,
            deb.name,
            deb.version,
            deb.architecture,
            target.codename,
            self._licences.of(deb.sha256),
            deb.address,
        )

    def _own_deb(self, target: Target, file: Path, licence: str, *, simulated: bool = False) -> Artefact:
        path = pool_path(target.codename, file.name)
        digest, size = sha256_of(file), file.stat().st_size
        _copy(file, self._work / "apt" / path)
        fields = parse_paragraphs(read_control(file))[0]
        self._paragraphs[target].append(package_paragraph(fields, path=path, size=size, sha256=digest))
        return Artefact(
            "deb",
            f"apt/{path}",
            digest,
            size,
            fields["Package"],
            fields["Version"],
            fields["Architecture"],
            target.codename,
            licence,
            simulated=simulated,
        )

    def _application(self, target: Target) -> list[Artefact]:
        folder = self._work / "wheels" / f"python{target.python}-{target.architecture}"
        fresh = not folder.exists()
        if fresh:
            folder.mkdir(parents=True)
            own_wheel(folder)
            download_wheels(target, requirements(), folder)
        wheels = tuple(sorted(folder.glob("*.whl")))
        self._events.emit("wheels_downloaded", target=str(target), wheels=len(wheels), python=target.python)
        with self._scratch() as scratch:
            cache = self._cache_folder("application")
            deb, version = application_deb(
                target, wheels, running_version(), cache=cache, scratch=scratch, at=self._clock.now()
            )
        self._events.emit("package_built", target=str(target), package="aiops", version=version)
        artefacts = [self._own_deb(target, deb, "Apache-2.0")]
        for wheel in wheels if fresh else ():
            known = wheel_metadata(wheel)
            relative = str(wheel.relative_to(self._work))
            source = "built" if known["name"] == "aiops" else f"pypi:{known['name']}=={known['version']}"
            artefacts.append(
                Artefact(
                    "wheel",
                    relative,
                    sha256_of(wheel),
                    wheel.stat().st_size,
                    known["name"],
                    known["version"],
                    target.architecture,
                    None,
                    known["licence"],
                    source,
                )
            )
        return artefacts

    def _index(self, path: str, content: bytes, release: str | None, *, kind_key: bool = False) -> Artefact:
        file = self._work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return Artefact(
            "key" if kind_key else "index", path, sha256_of(file), len(content), Path(path).name, release=release
        )

    def _cache_folder(self, name: str) -> Path:
        return ensure_folder(self._cache / name)

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="scratch-") as folder:
            yield Path(folder)


class _Licences:
    """Licences by sha256, kept between builds: reading them is the slowest part of a first one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._known: dict[str, str | None] = json.loads(path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def learn(self, debs: Iterable[tuple[str, str, Path]]) -> None:
        """Read those not known yet: (package, sha256, file)."""
        unknown = [one for one in debs if one[1] not in self._known]
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="licence") as pool:
            for (_, digest, _), licence in zip(
                unknown, pool.map(lambda one: licence_of(one[2], one[0]), unknown), strict=True
            ):
                self._known[digest] = licence

    def of(self, digest: str) -> str | None:
        """The licence of a file, None where unknown."""
        return self._known.get(digest)

    def save(self) -> None:
        """Keep what was learnt."""
        write_atomic(self._path, json.dumps(self._known, indent=0, sort_keys=True).encode())


def _by_phase(wanted: Iterable[Wanted]) -> list[tuple[Wanted, ...]]:
    """Packages that are installed together: two phases may not be installable on one host, and need not be."""
    groups: dict[str, list[Wanted]] = {}
    for one in wanted:
        groups.setdefault(one.by, []).append(one)
    return [tuple(group) for group in groups.values()]


def _seal(work: Path, artefacts: Sequence[Artefact], request: Request, key: SigningKey, clock: Clock) -> Bundle:
    manifest = Manifest(
        clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        running_version(),
        tuple(str(target) for target in request.wanted),
        key.public.fingerprint,
        content_digest(artefacts),
        tuple(sorted(artefacts, key=lambda one: one.path)),
    )
    content = manifest.to_json()
    (work / MANIFEST).write_bytes(content)
    (work / SIGNATURE).write_bytes(key.sign(content))
    return Bundle(work, manifest, key.public)


def _same(home: Path, output: Path, content: str, key: SigningKey) -> Bundle | None:
    """The bundle in place, when it is whole, ours and has this content already."""
    try:
        present = Bundle.open(output, trusted_keys(home))
    except AiopsError:
        return None
    if present.manifest.content != content or present.key != key.public or present.verify():
        return None
    return present


def _tidy(output: Path) -> None:
    """Put back the bundle that a killed build had moved aside, and remove what else such builds left."""
    old = _aside(output)
    if old.exists() and not output.exists():
        old.rename(output)
    for leftover in output.parent.glob(f".{output.name}.build-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _aside(output: Path) -> Path:
    return output.parent / f".{output.name}.build-old"


def _put(bundle: Bundle, output: Path) -> Bundle:
    bundle.path.chmod(0o755)
    old = _aside(output)
    if output.exists():
        output.rename(old)
    try:
        bundle.path.rename(output)
    except BaseException:
        if old.exists() and not output.exists():
            old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return Bundle(output, bundle.manifest, bundle.key)


def _check_output(output: Path) -> None:
    if output.exists() and not (output.is_dir() and ((output / MANIFEST).exists() or not any(output.iterdir()))):
        raise InputError(
            f"{output} exists and is not a bundle",
            code="bundle.output",
            hints=["name another folder with `--output`, or remove it"],
        )


def _need_space(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FailedError(
            f"too little space at {folder} for {what}: {needed // 2**20} MiB needed, {free // 2**20} MiB free",
            code="bundle.disk",
            hints=["free some space, or put the cache and the bundle elsewhere with AIOPS_HOME and `--output`"],
        )


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConflictError(
                "another bundle is being built with this AIOPS_HOME",
                code="bundle.busy",
                hints=["wait for it, then run this again: what it fetched is shared"],
            ) from error
        yield


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
