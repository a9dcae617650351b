"""Any files with an `aiops-manifest.json`, which `from aiops import checkpoint` writes: it alone says what they are."""

from collections.abc import Iterable, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST, Contents, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .parts import whole


class Files:
    """The format."""

    name = "files"
    title = "any files with an aiops-manifest.json"
    origin = "ours"
    rank = 5

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Folders with a manifest."""
        for folder, files in sorted(listing.folders().items()):
            if any(one.name == MANIFEST for one in files):
                yield whole(listing, folder)

    def marker(self, place: Place) -> str | None:  # noqa: ARG002
        """The manifest."""
        return MANIFEST

    def readings(self, place: Place) -> Iterable[Reading]:  # noqa: ARG002
        """None: what the files are nobody knows; the manifest says whether they are what was saved."""
        return ()

    def judge(self, place: Place, contents: Contents) -> Judgement:  # noqa: ARG002
        """Nothing beyond the manifest."""
        return Judgement()

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}


@hookimpl
def checkpoint_format() -> Files:
    """The format this plugin knows."""
    return Files()
