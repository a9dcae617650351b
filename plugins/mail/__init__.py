"""Notices as plain text by e-mail, over SMTP.

What the server has taken from us has arrived, as far as we can know. The connection is encrypted and the server's
certificate one that this machine trusts, unless the settings say `tls = "none"`.
"""

import smtplib
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l1_cluster.health.notice import Notice
from aiops.layers.l1_cluster.health.notifier import REJECTED, Form, Notifier, Secret

_KEYS = ("to", "from", "server", "tls", "user", "password_file", "password_variable")
_TLS = ("starttls", "tls", "none")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_HIGHEST_PORT = 65535
_FINAL = 500
"""From this status on a server that was given the mail itself will not take it later either (RFC 5321, 4.2.1)."""


@dataclass(frozen=True, slots=True)
class Mail:
    """The notifier.

    Attributes:
        tls: `starttls`, `tls` from the first byte on, or `none`.
        user: Who logs in; empty: nobody does.
    """

    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    tls: str
    user: str = ""
    password: Secret | None = None
    name: str = "mail"

    @property
    def place(self) -> str:
        """Whom it writes to."""
        return f"{', '.join(self.to)} by {self.host}:{self.port}"

    def send(self, notice: Notice, seconds: float) -> str | None:
        """Hand it to the server.

        Returns:
            Whose mail the server does not take, where it takes that of others: they would get it again and again.

        Raises:
            UnreachableError: Nobody answers in time, or the certificate is not one that this machine trusts.
            FailedError: The server refuses, or a secret cannot be read.
        """
        password = self.password.value() if self.password is not None else ""
        where = f"mail: {self.host}:{self.port}"
        hints = ["try it: `aiops health notify`"]
        try:
            with self._connected(seconds) as server:
                if self.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, password)
                refused = server.send_message(self._message(notice), self.sender, self.to)
        except smtplib.SMTPAuthenticationError as error:
            raise FailedError(
                f"{where} refuses the user: status {error.smtp_code}", code="notify.refused", hints=hints
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            reason = f"{where} cannot do what is wanted: {error}"
            encrypt = 'a server without encryption needs `tls = "none"` in aiops.toml'
            raise FailedError(reason, code="notify.refused", hints=[encrypt]) from None
        except smtplib.SMTPServerDisconnected as error:
            why = "does not answer: no answer in time" if "timed out" in str(error) else f"has hung up: {error}"
            raise UnreachableError(f"{where} {why}", code="notify.unreachable", hints=hints) from None
        except smtplib.SMTPException as error:
            final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _FINAL
            code = REJECTED if final else "notify.refused"
            raise FailedError(f"{where} refuses it: {_plain(error)}", code=code, hints=hints) from None
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise UnreachableError(
                f"{where} does not answer: {reason}", code="notify.unreachable", hints=hints
            ) from None
        return f"{where} does not take mail for {', '.join(sorted(refused))}" if refused else None

    def _connected(self, seconds: float) -> smtplib.SMTP:
        if self.tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=seconds, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=seconds)

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"aiops {notice.subject}"
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message["Date"] = format_datetime(notice.at)
        message["Message-ID"] = f"<{notice.id}@aiops>"  # a mail program shows the same one once
        message["Auto-Submitted"] = "auto-generated"  # no holiday answers, please (RFC 3834)
        message.set_content(f"{notice.text}\n")
        return message


def _plain(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"status {error.smtp_code}: {text.decode(errors='replace') if isinstance(text, bytes) else text}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it does not take mail for {', '.join(sorted(error.recipients))}"
    return str(error)


class _Kind:
    name = "mail"
    keys = _KEYS

    def read(self, form: Form) -> Notifier | None:
        """The mail that the table asks for."""
        to, sender, tls, user = form.texts("to"), form.text("from"), form.word("tls", _TLS), form.text("user")
        password = form.secret("password")
        host, port = _server(form, tls)
        if not to:
            form.complain("to", '`to` must name somebody, as in `to = ["ops@example.org"]`')
        for key, several in (("to", to), ("from", (sender,))):
            for one in several:
                if not _is_address(one):
                    form.complain(key, f"`{key}`: `{one}` is no address, as `ops@example.org` is")
        if bool(user) != (password is not None):
            form.complain("user", "`user` and `password_file` (or `password_variable`) go together")
        if tls == "none" and password is not None:
            form.complain("tls", "a password is not sent without encryption: use `starttls` or `tls`")
        return None if form.problems else Mail(to, sender, host, port, tls, user, password)


def _server(form: Form, tls: str) -> tuple[str, int]:
    """Host and port of `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`."""
    text = form.text("server")
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not host or (port and not 0 < number <= _HIGHEST_PORT) or " " in host:
        form.complain("server", f"`server`: `{text}` is not HOST or HOST:PORT")
    return host, number or _PORTS[tls]


def _is_address(text: str) -> bool:
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError):
        return False
    return text.isascii() and bool(address.username and address.domain) and not any(one in text for one in ",;<> ")


@hookimpl
def notifier_kind() -> _Kind:
    """The notifier that this plugin knows."""
    return _Kind()
