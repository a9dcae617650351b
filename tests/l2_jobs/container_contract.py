"""What all kinds of containers do alike."""

import pytest

from aiops.layers.l2_jobs.container import Container, Wrapping
from aiops.layers.l2_jobs.container_devices import access_of


def wrapping(*argv: str, vendor: str | None = None, uid: int = 1001) -> Wrapping:
    return Wrapping(
        name="aiops-sft-7.3-0",
        image="registry.example.org/team/train:1",
        argv=argv or ("python", "train.py", "--", "a b", "$HOME", "; reboot", ""),
        folder="/shared/ann/my runs",
        writable=("/shared/ann/my runs", "/var/lib/aiops-jobs/sft-7.3", "/shared/runs/sft"),
        environment=("AIOPS_JOB", "HF_TOKEN"),
        user=(uid, uid),
        devices=access_of(vendor, (0, 3)),
    )


class ContainerContract:
    """Inherit it, with a fixture `container`."""

    def test_the_command_is_whole_and_last(self, container: Container) -> None:
        for given in (wrapping(), wrapping("a"), wrapping("--rm", "-v", "/:/host")):
            argv = container.wrap(given)
            assert argv[-len(given.argv) :] == given.argv

    def test_the_image_and_all_paths_are_named(self, container: Container) -> None:
        given = wrapping()
        words = container.wrap(given)
        options = words[: len(words) - len(given.argv)]
        assert any(given.image in word for word in options)
        for path in (*given.writable, given.folder):
            assert any(path in word for word in options), path

    def test_no_value_of_a_variable_is_there(self, container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        assert not any("hf_secret" in word for word in container.wrap(wrapping()))

    def test_it_is_pure(self, container: Container) -> None:
        assert container.wrap(wrapping()) == container.wrap(wrapping())

    @pytest.mark.parametrize("vendor", ["nvidia", "amd", "ascend", "gaudi", "cambricon", None])
    def test_devices_of_each_maker(self, container: Container, vendor: str | None) -> None:
        argv = container.wrap(wrapping("true", vendor=vendor))
        for path in access_of(vendor, (0, 3)).driver:
            assert any(f"{path}" in word and "ro" in word for word in argv)

    def test_it_says_how_far_it_is_proved(self, container: Container) -> None:
        assert container.proof in {"run", "rendered, not run"}
        assert container.name.isalnum()
