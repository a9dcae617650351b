"""The terms of controllers, as a node remembers them: of each lineage of stores the highest that was here.

A head that was lost and comes back knows nothing of the one that took its place. The node does, and obeys it no more.
Only root writes them; who knows the name of a lineage may read its term, as a batch script of Slurm's has to.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import fcntl
import os

from .folders import write


class Terms(object):
    """What one controller may."""

    def __init__(self, base: str, lineage: str, number: int) -> None:
        """Prepare.

        Args:
            base: The folder of all attempts, root's.
            lineage: Of the controller's store; letters and digits.
            number: Its term.
        """
        self._folder = os.path.join(base, ".terms")
        self._path = os.path.join(self._folder, lineage)
        self._number = number

    def claim(self) -> int:
        """Remember the term, where it is the highest; the highest.

        Raises:
            OSError: It cannot be read or written.
            ValueError: What is remembered is no number.
        """
        os.makedirs(self._folder, exist_ok=True)
        os.chmod(self._folder, 0o711)  # noqa: S103 - its names are secrets enough, and it may not be listed
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # two agents at once must not write the lower over the higher
            highest = self.highest()
            if highest < self._number:
                write(self._path, b"%d\n" % self._number, 0o644)
            else:
                os.chmod(self._path, 0o644)  # an earlier release let nobody read it
        finally:
            os.close(folder)
        return max(highest, self._number)

    def highest(self) -> int:
        """The highest that was here; 0 where none was.

        Raises:
            OSError: It cannot be read.
            ValueError: It is no number.
        """
        try:
            with open(self._path) as file:
                return int(file.read(64))
        except FileNotFoundError:
            return 0

    def outranked(self) -> int:
        """The term of a later controller that was here; 0 where ours is the latest.

        Raises:
            OSError: It cannot be read.
            ValueError: It is no number.
        """
        highest = self.highest()
        return highest if highest > self._number else 0
