"""Beats between launchers: small datagrams that nobody without the job's secret can make or repeat with effect.

`A1` + JSON + HMAC-SHA256 over it. A beat names its job, epoch and node, and a number that grows; one that is not newer
than what was heard of that node before is dropped, so a recorded beat renews no lease.

Standard library only, Python 3.6, imports nothing of ours.
"""

import hashlib
import hmac
import json
from typing import Any, Dict, Optional

MOST = 1024
"""Bytes of a datagram that are looked at."""

_MARK = b"A1"
_SEAL = hashlib.sha256().digest_size
_FIELDS = {"job": str, "epoch": int, "node": str, "n": int, "over": bool}


def beat(secret: bytes, job: str, epoch: int, *, node: str, number: int, over: bool) -> bytes:
    """A datagram.

    Args:
        secret: Of the job.
        job: Its id.
        epoch: Number of the attempt.
        node: Who sends it.
        number: Larger than in any earlier beat of this sender.
        over: Whether its processes have ended well, and it only keeps its peers company.
    """
    said = {"job": job, "epoch": epoch, "node": node, "n": number, "over": over}
    body = _MARK + json.dumps(said, sort_keys=True, separators=(",", ":")).encode("utf-8")
    return body + _seal(secret, body)


def read(secret: bytes, datagram: bytes) -> Optional[Dict[str, Any]]:
    """What a datagram says; None where it is none of this job's."""
    body, seal = datagram[:-_SEAL], datagram[-_SEAL:]
    if not body.startswith(_MARK) or not hmac.compare_digest(seal, _seal(secret, body)):
        return None
    try:
        said = json.loads(body[len(_MARK) :].decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(said, dict) or any(type(said.get(name)) is not kind for name, kind in _FIELDS.items()):
        return None
    return said


def _seal(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()
