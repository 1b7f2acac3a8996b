"""E-mail, to a real SMTP server in this process: threads, TLS, refusals of one recipient."""

import contextlib
import email
import email.policy
import ssl

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from sentinel.schemas import MESSAGES
from sentinel.sinks.email import EmailSettings, EmailSink
from sentinel.sinks.outcome import Delivered, Document, Rejected, Retry
from tests.integration import lab
from tests.schemas.alerts import START, alert, session
from tests.sinks.receivers import secret


class Inbox:
    """Takes mail; `refuse` gives the replies to recipients."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], email.message.EmailMessage]] = []
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server, session, envelope, address, options
    ):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server, session, envelope
    ):
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos, parsed))
        return "250 queued as 4711"


@pytest.fixture
def inbox(tmp_path):
    """An SMTP server that insists on TLS, and its inbox."""
    taken, certificate = Inbox(), lab.certificate(tmp_path, [])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)

    def known(server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (b"sentinel", b"pass")
        return AuthResult(success=good, handled=good)

    server = Controller(
        taken, hostname="127.0.0.1", port=lab.free_port(), tls_context=context, require_starttls=True,
        authenticator=known, auth_required=True,
    )  # fmt: skip
    server.start()
    taken.port, taken.ca = server.port, certificate.certificate
    yield taken
    server.stop()


@contextlib.contextmanager
def opened(inbox, folder, **changed):
    made = {
        "type": "email", "name": "m", "host": "localhost", "port": inbox.port, "from": "sentinel@dept.example",
        "to": ["soc@dept.example", "lead@dept.example"], "ca_file": inbox.ca, "username": "sentinel",
        "password_file": secret(folder, "password", "pass"),
    }  # fmt: skip
    sink = EmailSink(EmailSettings.model_validate(made | changed))
    yield sink
    sink.close()


def mail(number=1, kind="opened", of=None) -> Document:
    one = alert(of, kind=kind, id=f"al_{number}")
    body = MESSAGES["mail"](one, "collector-1", "https://sentinel.example/s/{session}")
    return Document(id=one.id, body=body, kind=kind, severity=3, time=START, session=one.session.id)


def test_a_session_is_one_thread(inbox, tmp_path):
    """By its references, and by a subject that stays the same."""
    with opened(inbox, tmp_path, to=["soc@dept.example"]) as sink:
        outcomes = sink.send([mail(1), mail(2, "escalated"), mail(3, "closed")])
    assert outcomes == [Delivered("250 queued as 4711")] * 3
    made = [message for _to, message in inbox.mails]
    assert {message["References"] for message in made} == {f"<{alert().session.id}@dept.example>"}
    assert len({message["Subject"] for message in made}) == 1
    assert [message["Message-ID"] for message in made] == [f"<al_{n}@dept.example>" for n in (1, 2, 3)]
    assert made[0]["Auto-Submitted"] == "auto-generated"


def test_people_read_text_or_html_and_no_name_that_gateways_look_up(inbox, tmp_path):
    """A gateway that rewrites links would make the look-up that is reported."""
    with opened(inbox, tmp_path) as sink:
        sink.send([mail(of=session(user="<script>alert(1)</script>"))])
    message = inbox.mails[0][1]
    plain, rich = (message.get_body([kind]).get_content() for kind in ("plain", "html"))
    for text in (plain, rich):
        assert "app.clearview[.]ai" in text
        assert "app.clearview.ai" not in text
        assert "Next:" in text
    assert "<script>" not in rich
    assert f"https://sentinel.example/s/{alert().session.id}" in plain


def test_a_name_cannot_write_a_header(inbox, tmp_path):
    """Whatever a proxy's user is called."""
    with opened(inbox, tmp_path) as sink:
        outcomes = sink.send([mail(of=session(user="a\r\nBcc: evil@evil.example", device="ü" * 300))])
    assert isinstance(outcomes[0], Delivered)
    assert inbox.mails[0][1]["Bcc"] is None


def test_one_recipient_who_is_refused_for_now_hears_of_it_later_and_the_others_once(inbox, tmp_path):
    """Each has a transaction of its own."""
    inbox.refuse = {"lead@dept.example": "451 greylisted"}
    with opened(inbox, tmp_path) as sink:
        assert sink.send([mail()]) == [Retry("lead@dept.example: 451 greylisted")]
        inbox.refuse = {}
        assert isinstance(sink.send([mail()])[0], Delivered)
    assert [to for to, _message in inbox.mails] == [["soc@dept.example"], ["lead@dept.example"]]


def test_a_recipient_whom_nobody_knows_is_told_and_all_of_them_are_a_dead_letter(inbox, tmp_path):
    """One lapsed address must not stop the others' mail."""
    inbox.refuse = {"lead@dept.example": "550 no such user"}
    with opened(inbox, tmp_path) as sink:
        (outcome,) = sink.send([mail(1)])
        assert outcome == Delivered("250 queued as 4711; refused: lead@dept.example: 550 no such user")
        inbox.refuse["soc@dept.example"] = "550 no such user"
        assert isinstance(sink.send([mail(2)])[0], Rejected)


@pytest.mark.parametrize("changed", [{"ca_file": None}, {"username": "other"}, {"host": "127.0.0.2"}, {"security": "tls"}])
def test_without_trust_nothing_is_sent(inbox, tmp_path, changed):
    """Neither to a stranger, nor with the wrong password."""
    with opened(inbox, tmp_path, **changed) as sink:
        (outcome,) = sink.send([mail()])
    assert isinstance(outcome, Retry)
    assert inbox.mails == []


def test_a_server_without_starttls_gets_nothing(tmp_path):
    """Whoever takes the offer away on the way must not read the mail."""
    taken = Inbox()
    server = Controller(taken, hostname="127.0.0.1", port=lab.free_port())
    server.start()
    taken.port, taken.ca = server.port, None
    try:
        with opened(taken, tmp_path, username=None, password_file=None) as sink:
            (outcome,) = sink.send([mail()])
        assert isinstance(outcome, Retry)
        assert "STARTTLS" in outcome.reason
        with opened(taken, tmp_path, username=None, password_file=None, security="none") as sink:
            assert isinstance(sink.send([mail()])[0], Delivered)
    finally:
        server.stop()
    assert len(taken.mails) == 2


def test_a_server_that_went_away_is_found_again(inbox, tmp_path):
    """The connection is kept, and asked before it is used."""
    with opened(inbox, tmp_path) as sink:
        assert isinstance(sink.send([mail(1)])[0], Delivered)
        sink._smtp.sock.close()
        sink._smtp.file = None
        assert isinstance(sink.send([mail(2)])[0], Delivered)
