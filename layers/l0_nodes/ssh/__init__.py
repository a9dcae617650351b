"""A node over SSH. The only door to paramiko, which is heavy: import this package inside the function that needs it."""

from .identity import Identities
from .jump import JumpHosts
from .scan import scan
from .transport import SshTransport

__all__ = ["Identities", "JumpHosts", "SshTransport", "scan"]
