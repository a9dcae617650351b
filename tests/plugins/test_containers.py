"""Containers: the argv of each kind, what a launcher is given with one, and podman at work."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.l2_jobs.container_contract import ContainerContract, wrapping

from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.container import Container, Wrapping, contained, containers_of
from aiops.layers.l2_jobs.container_devices import DeviceAccess, access_of
from aiops.layers.l2_jobs.job import Account, Job
from aiops.layers.l2_jobs.job_file import compile_job, read_job_file

KINDS = containers_of(Plugins())


class TestPodman(ContainerContract):
    @pytest.fixture
    def container(self) -> Container:
        return KINDS["podman"]

    def test_the_whole_argv(self) -> None:
        assert KINDS["podman"].wrap(wrapping("true", vendor="nvidia")) == (
            *("podman", "run", "--rm", "--replace", "--name=aiops-sft-7.3-0", "--cgroups=disabled"),
            *("--log-driver=none", "--network=host", "--shm-size=0", "--ulimit=host", "--security-opt=label=disable"),
            *("--user=1001:1001", "--userns=keep-id", "--entrypoint=", "--workdir=/shared/ann/my runs"),
            "--mount=type=bind,src=/shared/ann/my runs,dst=/shared/ann/my runs",
            "--mount=type=bind,src=/var/lib/aiops-jobs/sft-7.3,dst=/var/lib/aiops-jobs/sft-7.3",
            "--mount=type=bind,src=/shared/runs/sft,dst=/shared/runs/sft",
            *("--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=3"),
            *("--env=AIOPS_JOB", "--env=HF_TOKEN", "--", "registry.example.org/team/train:1", "true"),
        )


class TestApptainer(ContainerContract):
    @pytest.fixture
    def container(self) -> Container:
        return KINDS["apptainer"]

    def test_the_whole_argv(self) -> None:
        assert KINDS["apptainer"].wrap(wrapping("true", vendor="amd")) == (
            *("apptainer", "exec", "--no-home", "--pwd=/shared/ann/my runs", "--bind=/shared/ann/my runs"),
            *("--bind=/var/lib/aiops-jobs/sft-7.3", "--bind=/shared/runs/sft", "--rocm"),
            *("registry.example.org/team/train:1", "true"),
        )


class TestEnroot(ContainerContract):
    @pytest.fixture
    def container(self) -> Container:
        return KINDS["enroot"]

    def test_the_folder_is_no_code_of_the_shell(self) -> None:
        argv = KINDS["enroot"].wrap(wrapping("true"))
        assert argv[-4:] == ("-c", 'cd "$0" && exec "$@"', "/shared/ann/my runs", "true")


class TestPyxis(ContainerContract):
    @pytest.fixture
    def container(self) -> Container:
        return KINDS["pyxis"]

    def test_the_whole_argv(self) -> None:
        mounts = ",".join(f"{path}:{path}" for path in wrapping().writable)
        assert KINDS["pyxis"].wrap(wrapping("true")) == (
            *("--container-image=registry.example.org/team/train:1", f"--container-mounts={mounts}"),
            *("--container-workdir=/shared/ann/my runs", "--container-env=AIOPS_JOB,HF_TOKEN"),
            *("--no-container-mount-home", "--no-container-entrypoint", "true"),
        )


def job(lines: str) -> Job:
    text = f"aiops: 1\nname: a\ncommand: torchrun train.py\n{lines}"
    read = read_job_file(text, "job.yml", folder="/shared/ann")
    return compile_job(read, Account("ann", 1001, 1001), 1, datetime(2026, 1, 1, tzinfo=UTC))


SPEC = {
    "key": "a-1.2",
    "node_rank": 1,
    "argv": ["torchrun", "--nnodes=2", "train.py"],
    "options_end": 2,
    "environment": {"B": "secret", "A": "1"},
}


def test_what_a_launcher_is_given() -> None:
    given = job("image: podman://a/b:1\ncheckpoint: {path: /runs/a}")
    found = contained(SPEC, given, vendor="amd", devices=(0,), spool="/spool/a-1.2", containers=KINDS)
    argv = found["argv"]
    assert argv[-3:] == SPEC["argv"]
    assert argv[found["options_end"] :] == ["train.py"], "the launcher's options go where torchrun's end"
    assert "--name=aiops-a-1.2-1" in argv
    assert [word for word in argv if word.startswith("--mount")] == [
        f"--mount=type=bind,src={path},dst={path}" for path in ("/shared/ann", "/spool/a-1.2", "/runs/a")
    ]
    assert "--env=AIOPS_PROGRESS" in argv
    assert "--device=/dev/kfd" in argv
    assert not any("secret" in word for word in argv)
    assert found["environment"] == SPEC["environment"]


def test_without_an_image_nothing_changes() -> None:
    assert contained(SPEC, job(""), vendor=None, devices=(), spool="/s", containers=KINDS) == SPEC


def test_what_nobody_has_said() -> None:
    with pytest.raises(InputError, match="no kind of container `podmn`") as caught:
        contained(SPEC, job("image: podmn://a"), vendor=None, devices=(), spool="/s", containers=KINDS)
    assert caught.value.hints == ("did you mean `podman://a`?",)
    with pytest.raises(InputError, match="accelerators of biren"):
        access_of("biren", (0,))
    assert access_of("biren", ()) == DeviceAccess()


USER = "aiops-podman-test"
WITHOUT_UNIFIED = (
    *("unshare", "--mount", "--", "sh", "-c"),
    *('! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; exec "$@"', "sh"),
)
"""crun runs on a machine with cgroups of both versions only where it sees those of one."""


@pytest.fixture
def account() -> Iterator[tuple[int, int, Path]]:
    """A user who may map numbers, with a folder of its own."""
    if os.geteuid() != 0 or not shutil.which("podman") or not shutil.which("newuidmap"):
        pytest.skip("needs root, podman and uidmap: `apt-get install podman crun uidmap`")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        subprocess.run(["useradd", "--home-dir", home, USER], check=True, timeout=60)
        try:
            found = subprocess.run(["id", "-u", USER], check=True, capture_output=True, text=True, timeout=60)
            uid = int(found.stdout)
            Path(home).chmod(0o700)
            shutil.chown(home, uid, uid)
            yield uid, uid, Path(home)
        finally:
            environment = {"HOME": home, "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": f"{home}/runtime"}
            argv = ("podman", "system", "migrate")  # ends the process that keeps the user's namespace
            subprocess.run(argv, check=True, timeout=60, env=environment, user=uid, group=uid, cwd=home)
            subprocess.run(["userdel", "--force", USER], check=True, timeout=60)


def test_podman_at_work(account: tuple[int, int, Path]) -> None:
    """As an ordinary user: its number, paths, variables, network, the command's end, and who holds its processes."""
    uid, gid, home = account
    runtime, spool, runs = home / "runtime", home / "spool", home / "runs"
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime), "GIVEN": "a b"}
    environment |= {"STORAGE_DRIVER": "vfs"}

    def run(*argv: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        words = (*WITHOUT_UNIFIED, "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--", *argv)
        return subprocess.run(
            words, input=stdin, capture_output=True, check=False, timeout=120, cwd=home, env=environment
        )

    for folder in (runtime, spool, runs):
        folder.mkdir(mode=0o700)
        shutil.chown(folder, uid, gid)
    imported = run("podman", "import", "-", "aiops-test:1", stdin=image())
    assert imported.returncode == 0, imported.stderr.decode()
    script = (
        'id -u; id -g; pwd; echo "$GIVEN"; cat /proc/self/cgroup | tail -1; readlink /proc/self/ns/net; '
        'echo x > "$0/written"; exit 7'
    )
    given = Wrapping(
        name="aiops-test-1-0",
        image="localhost/aiops-test:1",
        argv=("/bin/busybox", "sh", "-c", script, str(runs)),
        folder=str(home / "spool"),
        writable=(str(spool), str(runs)),
        environment=("GIVEN", "UNSET"),
        user=(uid, gid),
        devices=DeviceAccess(),
    )
    done = run(*KINDS["podman"].wrap(given))
    assert done.returncode == 7, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    own = Path("/proc/self/cgroup").read_text().splitlines()[-1]
    network = str(Path("/proc/self/ns/net").readlink())
    assert lines == [str(uid), str(gid), str(spool), "a b", own, network]
    written = (runs / "written").stat()
    assert (written.st_uid, written.st_gid) == (uid, gid)
    assert run(*KINDS["podman"].wrap(given)).returncode == 7, "the same name again"
    assert run("podman", "ps", "--all", "--quiet").stdout == b"", "nothing is left of it"
    run("podman", "system", "reset", "--force")


def image() -> bytes:
    """The smallest root there is: busybox and the folders that a container needs."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox: `apt-get install busybox-static`")
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "run"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            archive.add(busybox, "bin/busybox")
            for name in ("sh", "id", "cat", "tail", "readlink", "pwd"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        file.seek(0)
        return file.read()
