"""A node over SSH. The only door to paramiko, which is heavy: import this package inside the function that needs it."""

import sys

# paramiko reads ssh's configuration itself where it is asked to, with `invoke` for `Match exec`, and half of its
# import time is that. We ask `ssh -G`; without `invoke` paramiko does everything else.
_hidden = "invoke" not in sys.modules
if _hidden:
    sys.modules["invoke"] = None  # type: ignore[assignment]
try:
    import paramiko as _  # noqa: F401 - only for its side effect, while invoke is hidden
finally:
    if _hidden:
        del sys.modules["invoke"]

from .identity import Identities
from .jump import JumpHosts
from .scan import scan
from .transport import SshTransport

__all__ = ["Identities", "JumpHosts", "SshTransport", "scan"]
