"""What all notifiers do alike, against receivers that really listen: the webhook over HTTP, mail over SMTP."""

import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aiops.layers.core.errors import AiopsError, FailedError, UnreachableError
from aiops.layers.l1_cluster.health.notice import Change, Notice
from aiops.layers.l1_cluster.health.notifier import REJECTED, Notifier, Secret
from aiops.plugins.mail import Mail
from aiops.plugins.webhook import Webhook

AT = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)
CANARY = "s3cret-canary"
NOTICE = Notice(
    "0123abcd",
    "lab-a",
    AT,
    (
        Change("came", "GPU 3: 96 °C, limit 92 °C", "gpu07", "gpu.temp", "GPU 3", "critical", "service", "node"),
        Change("drained", "gpu.temp: GPU 3: 96 °C", "gpu07", "gpu.temp", run="r-1121-193005-4f2"),
    ),
    simulated=True,
)


@dataclass
class Receiver:
    """What somebody who listens has been given, and how they behave."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    refuses: bool = False
    status: int = 0
    stranger: str = ""
    login: str = ""


def web_server(receiver: Receiver) -> socketserver.TCPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/moved":
                self.send_response(307)
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            elif receiver.refuses or receiver.status:
                self.send_response(receiver.status or 503)
            else:
                receiver.bodies.append(body)
                receiver.heads.append(dict(self.headers))
                self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


class Smtp(socketserver.StreamRequestHandler):
    """As much of a mail server as is spoken to."""

    receiver: ClassVar[Receiver]
    context: ClassVar[ssl.SSLContext | None] = None
    timeout = 10

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "STARTTLS" and self.context:
                if not self.encrypted(self.context):
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.answer(verb, line)

    def encrypted(self, context: ssl.SSLContext) -> bool:
        self.say("220 go on")
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except OSError:  # the client does not trust us
            return False
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        return True

    def answer(self, verb: str, line: str) -> None:
        if verb == "EHLO":
            offered = self.context is not None and not isinstance(self.connection, ssl.SSLSocket)
            for words in ("250-here", *(["250-STARTTLS"] if offered else []), "250 AUTH PLAIN"):
                self.say(words)
        elif verb == "AUTH":
            self.receiver.login = line.rsplit(maxsplit=1)[-1]
            self.say("235 welcome")
        elif verb == "RCPT" and (self.receiver.refuses or (self.receiver.stranger and self.receiver.stranger in line)):
            self.say("550 nobody of that name")
        elif verb == "DATA" and self.receiver.status:
            self.say(f"{self.receiver.status} no")
        elif verb == "DATA":
            self.say("354 go on")
            body = b""
            while (part := self.rfile.readline()) != b".\r\n":
                body += part
            self.receiver.bodies.append(body)
            self.say("250 taken")
        else:
            self.say("250 fine")


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def mail_server(receiver: Receiver, context: ssl.SSLContext | None = None) -> socketserver.TCPServer:
    handler = type("Own", (Smtp,), {"receiver": receiver, "context": context})
    return MailServer(("127.0.0.1", 0), handler)


@contextmanager
def listening(server: socketserver.TCPServer, receiver: Receiver) -> Iterator[Receiver]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    receiver.port = server.socket.getsockname()[1]
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass
class Rig:
    """A notifier, whoever listens, and how what they were given is read."""

    make: Callable[[int], Notifier]
    receiver: Receiver
    text: Callable[[bytes], str]
    id: Callable[[bytes], str]


def web(port: int) -> Notifier:
    return Webhook(f"http://127.0.0.1:{port}/hook", None, insecure=True)


def mail(port: int) -> Notifier:
    return Mail(("ops@example.org", "night@example.org"), "aiops@example.org", "127.0.0.1", port, "none")


def letter(body: bytes) -> Any:
    return message_from_bytes(body, policy=policy.default)


@pytest.fixture(params=["webhook", "mail"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    receiver = Receiver()
    if request.param == "webhook":
        server, make = web_server(receiver), web
        text, id_ = (lambda body: json.loads(body)["text"]), (lambda body: json.loads(body)["id"])
    else:
        server, make = mail_server(receiver), mail
        text, id_ = (lambda body: letter(body).get_content()), (lambda body: letter(body)["Message-ID"].strip("<>"))
    with listening(server, receiver):
        yield Rig(make, receiver, text, id_)


def test_what_was_sent_is_what_has_changed(rig: Rig) -> None:
    rig.make(rig.receiver.port).send(NOTICE, 5.0)
    (body,) = rig.receiver.bodies
    told = rig.text(body)
    assert "lab-a (simulated): 1 critical, 1 drained" in told
    assert "gpu07 critical: gpu.temp: GPU 3: 96 °C, limit 92 °C" in told
    assert "drained gpu07: gpu.temp: GPU 3: 96 °C (run r-1121-193005-4f2)" in told


def test_the_same_notice_has_the_same_id(rig: Rig) -> None:
    one = rig.make(rig.receiver.port)
    one.send(NOTICE, 5.0)
    one.send(NOTICE, 5.0)
    ids = {rig.id(body) for body in rig.receiver.bodies}
    assert len(rig.receiver.bodies) == 2
    assert len(ids) == 1
    assert NOTICE.id in ids.pop()


def test_a_test_says_that_it_is_one(rig: Rig) -> None:
    rig.make(rig.receiver.port).send(replace(NOTICE, changes=(), test=True), 5.0)
    assert "nothing has happened" in rig.text(rig.receiver.bodies[0])


def test_whoever_refuses_has_not_been_told(rig: Rig) -> None:
    rig.receiver.refuses = True
    with pytest.raises(FailedError) as refused:
        rig.make(rig.receiver.port).send(NOTICE, 5.0)
    assert refused.value.hints
    assert rig.receiver.bodies == []


@pytest.mark.parametrize(
    ("notifier", "status", "code"),
    [
        ("webhook", 400, REJECTED),
        ("webhook", 413, REJECTED),
        ("webhook", 401, "notify.refused"),
        ("webhook", 404, "notify.refused"),
        ("webhook", 408, "notify.refused"),
        ("webhook", 429, "notify.refused"),
        ("webhook", 500, "notify.refused"),
        ("mail", 552, REJECTED),
        ("mail", 452, "notify.refused"),
    ],
)
def test_what_will_never_be_taken_is_told_from_what_may_be(notifier: str, status: int, code: str) -> None:
    receiver = Receiver(status=status)
    server, make = (web_server(receiver), web) if notifier == "webhook" else (mail_server(receiver), mail)
    with listening(server, receiver), pytest.raises(FailedError) as refused:
        make(receiver.port).send(NOTICE, 5.0)
    assert refused.value.code == code


def test_mail_that_one_of_several_gets_is_delivered() -> None:
    receiver = Receiver(stranger="night@example.org")
    with listening(mail_server(receiver), receiver):
        unreached = mail(receiver.port).send(NOTICE, 5.0)
    assert len(receiver.bodies) == 1
    assert unreached == f"mail: 127.0.0.1:{receiver.port} does not take mail for night@example.org"


def test_nobody_there(rig: Rig) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port} does not answer"):
        rig.make(port).send(NOTICE, 5.0)


def test_one_that_is_silent_is_waited_for_no_longer_than_was_said(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.monotonic()
        with pytest.raises(UnreachableError, match="no answer in time"):
            rig.make(server.getsockname()[1]).send(NOTICE, 0.2)
        assert time.monotonic() - begun < 5


def test_one_that_hangs_up(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(AiopsError):
            rig.make(server.getsockname()[1]).send(NOTICE, 5.0)
        thread.join(10)


def test_the_place_names_the_receiver(rig: Rig) -> None:
    assert "127.0.0.1" in rig.make(8080).place


# Each by itself.


def secret(folder: Path, text: str, mode: int = 0o600) -> Secret:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return Secret("token_file", path, "", {})


def test_the_document_of_the_webhook() -> None:
    document = NOTICE.document()
    assert {key: document[key] for key in ("aiops", "id", "cluster", "at", "simulated", "test")} == {
        "aiops": 1,
        "id": "0123abcd",
        "cluster": "lab-a",
        "at": "2026-11-21T19:30:05Z",
        "simulated": True,
        "test": False,
    }
    assert document["changes"][0] == {
        "turn": "came",
        "message": "GPU 3: 96 °C, limit 92 °C",
        "node": "gpu07",
        "check": "gpu.temp",
        "about": "GPU 3",
        "verdict": "critical",
        "action": "service",
        "owner": "node",
        "run": None,
    }
    assert Notice.of(json.loads(json.dumps(document))) == NOTICE


def test_a_token_goes_into_its_header_and_nowhere_else(tmp_path: Path) -> None:
    receiver = Receiver()
    with listening(web_server(receiver), receiver):
        one = Webhook(f"http://127.0.0.1:{receiver.port}/x", secret(tmp_path, f"{CANARY}\n"), insecure=True)
        one.send(NOTICE, 5.0)
        assert receiver.heads[0]["Authorization"] == f"Bearer {CANARY}"
        assert receiver.heads[0]["X-Aiops-Id"] == NOTICE.id
        receiver.refuses = True
        with pytest.raises(FailedError) as refused:
            one.send(NOTICE, 5.0)
    assert CANARY not in str(refused.value) + repr(refused.value) + repr(one) + one.place


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    receiver = Receiver()
    with listening(web_server(receiver), receiver):
        one = Webhook(f"http://127.0.0.1:{receiver.port}/moved", secret(tmp_path, CANARY), insecure=True)
        with pytest.raises(FailedError, match="status 307"):
            one.send(NOTICE, 5.0)
    assert receiver.bodies == []


def test_an_address_that_is_a_secret_is_in_no_message(tmp_path: Path) -> None:
    receiver = Receiver(refuses=True)
    with listening(web_server(receiver), receiver):
        address = replace(secret(tmp_path, f"http://127.0.0.1:{receiver.port}/{CANARY}"), key="url_file")
        one = Webhook(address, None, insecure=True)
        with pytest.raises(FailedError) as refused:
            one.send(NOTICE, 5.0)
        with pytest.raises(FailedError, match="insecure = true"):
            replace(one, insecure=False).send(NOTICE, 5.0)
    assert CANARY not in refused.value.message + one.place


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "bell\a"])
def test_a_secret_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(FailedError, match="empty or more than one line"):
        secret(tmp_path, text).value()


def test_a_secret_that_everybody_may_read(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="can be read by everybody") as refused:
        secret(tmp_path, CANARY, 0o644).value()
    assert refused.value.hints == (f"`chmod 600 {tmp_path / 'secret'}`",)
    assert secret(tmp_path, CANARY, 0o640).value() == CANARY


def test_a_secret_of_the_environment() -> None:
    assert Secret("token_variable", None, "HOOK", {"HOOK": f" {CANARY} "}).value() == CANARY
    with pytest.raises(FailedError, match=r"\$HOOK"):
        Secret("token_variable", None, "HOOK", {}).value()


def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="cannot be read: No such file"):
        Secret("token_file", tmp_path / "gone", "", {}).value()


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate for 127.0.0.1, signed by itself."""
    from ipaddress import ip_address

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context, pem


def test_a_certificate_must_be_one_that_this_machine_trusts(
    authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, pem = authority
    receiver = Receiver()
    server = web_server(receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with listening(server, receiver):
        one = Webhook(f"https://127.0.0.1:{receiver.port}/x", None, insecure=False)
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            one.send(NOTICE, 5.0)
        assert receiver.bodies == []
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        one.send(NOTICE, 5.0)
    assert len(receiver.bodies) == 1


def test_mail_is_encrypted_before_anybody_logs_in(
    authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context, pem = authority
    receiver = Receiver()
    with listening(mail_server(receiver, context), receiver):
        one = Mail(
            ("ops@example.org",),
            "aiops@example.org",
            "127.0.0.1",
            receiver.port,
            "starttls",
            "me",
            secret(tmp_path, CANARY),
        )
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            one.send(NOTICE, 5.0)
        assert (receiver.login, receiver.bodies) == ("", [])
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        one.send(NOTICE, 5.0)
    assert receiver.login
    assert letter(receiver.bodies[0])["Auto-Submitted"] == "auto-generated"


def test_a_server_without_encryption_is_not_given_the_password(tmp_path: Path) -> None:
    receiver = Receiver()
    with listening(mail_server(receiver), receiver):
        one = Mail(
            ("o@example.org",), "a@example.org", "127.0.0.1", receiver.port, "starttls", "me", secret(tmp_path, CANARY)
        )
        with pytest.raises(FailedError, match="STARTTLS") as refused:
            one.send(NOTICE, 5.0)
    assert 'tls = "none"' in refused.value.hints[0]
    assert (receiver.login, receiver.bodies) == ("", [])


def test_words_of_a_node_cannot_write_headers() -> None:
    receiver = Receiver()
    with listening(mail_server(receiver), receiver):
        mail(receiver.port).send(replace(NOTICE, cluster="lab-a\nBcc: all@example.org"), 5.0)
        told = letter(receiver.bodies[0])
    assert told["Bcc"] is None
