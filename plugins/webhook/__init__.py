"""Notices as JSON to a URL, by POST.

The document is what `Notice.document` gives; its `text` is what chat programs show of it. What the receiver answers
with 2xx has arrived. Redirects are not followed: they would take the token to somebody else.
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l1_cluster.health.notice import Notice
from aiops.layers.l1_cluster.health.notifier import REJECTED, Form, Notifier, Secret

_KEYS = ("url", "url_file", "url_variable", "token_file", "token_variable", "insecure")
_SCHEMES = ("https", "http")
_FINAL = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
"""The receiver does not take this notice (RFC 9110, 15.5). A wrong token or address (401, 403, 404) is mended by us."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Gives a redirect back as the error that it is here."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Webhook:
    """The notifier.

    Attributes:
        url: Where to; the address itself may be the secret.
        token: Sent as `Authorization: Bearer`.
        insecure: Whether it may be sent without encryption.
    """

    url: str | Secret
    token: Secret | None
    insecure: bool
    name: str = "webhook"

    @property
    def place(self) -> str:
        """The host's name, less everything that may be secret."""
        if isinstance(self.url, Secret):
            return f"the address in {self.url.file or f'${self.url.variable}'}"
        return _host(self.url)

    def send(self, notice: Notice, seconds: float) -> None:
        """POST it.

        Raises:
            UnreachableError: Nobody answers in time, or the certificate is not one that this machine trusts.
            FailedError: The answer is not 2xx, or a secret cannot be read.
        """
        url = self.url.value() if isinstance(self.url, Secret) else self.url
        wrong = mistake(url, insecure=self.insecure)
        if wrong is not None:
            raise FailedError(f"webhook: {wrong}", code="notify.url", hints=["correct it in aiops.toml"])
        headers = {"Content-Type": "application/json", "User-Agent": "aiops", "X-Aiops-Id": notice.id}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.value()}"
        body = json.dumps(notice.document()).encode()
        try:
            request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - its scheme was looked at
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            raise FailedError(
                f"webhook: {_host(url)} answered with status {error.code}",
                code=REJECTED if error.code in _FINAL else "notify.refused",
                hints=["try it: `aiops health notify`"],
            ) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise UnreachableError(
                f"webhook: {_host(url)} does not answer: {_plain(reason)}",
                code="notify.unreachable",
                hints=["try it: `aiops health notify`"],
            ) from None


def mistake(url: str, *, insecure: bool) -> str | None:
    """What is wrong with an address; None: nothing. The address itself is not in the words."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "`url` is no address"
    if parts.scheme not in _SCHEMES or not host or not url.isascii() or " " in url:
        return "`url` must begin with https:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "`url` must hold no user and no password; a token stands in `token_file`"
    if parts.scheme == "http" and not insecure:
        return "`url` is not encrypted: use https://, or say `insecure = true`"
    return None


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]


def _plain(reason: object) -> str:
    return "no answer in time" if isinstance(reason, TimeoutError) else str(reason) or type(reason).__name__


class _Kind:
    name = "webhook"
    keys = _KEYS

    def read(self, form: Form) -> Notifier | None:
        """The webhook that the table asks for."""
        url, hidden, insecure = form.text("url"), form.secret("url"), form.flag("insecure")
        token = form.secret("token")
        if bool(url) == (hidden is not None):
            form.complain("url", "one of `url`, `url_file`, `url_variable` must say where to")
            return None
        wrong = mistake(url, insecure=insecure) if url else None
        if wrong is not None:
            form.complain("url", wrong)
            return None
        return Webhook(url if hidden is None else hidden, token, insecure)


@hookimpl
def notifier_kind() -> _Kind:
    """The notifier that this plugin knows."""
    return _Kind()
