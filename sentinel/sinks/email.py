"""E-mail over SMTP, with STARTTLS or TLS from the beginning; the alerts on one session are one thread.

`Message-ID` is made of the alert's id, so that mail programs show one of two copies, and `References` of the session's. The
subject is the same throughout a session, as some programs end a thread where it changes. Each recipient has a transaction of
its own: one address that is refused for now is tried again without the others hearing everything twice.
"""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sentinel.schemas.fit import Schema
from sentinel.schemas.text import clean
from sentinel.sinks.chat import Linked
from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry, one_by_one
from sentinel.sinks.secret import UnreadableSecretError, has_secret, secret_of

CONNECT_SECS = 10.0

REMEMBERED = 1000
"""Documents of which is known who has them already."""

Address = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;:\"\\()\[\]\x00-\x1f]+@[A-Za-z0-9.-]+$", max_length=254)]


class EmailSettings(Linked, SinkSettings):
    """A mail server, and who gets mail."""

    OPTIONAL_SECRETS = ("password",)

    type: Literal["email"]
    host: str = Field(min_length=1, description="The mail server's name or address.")
    port: int | None = Field(None, ge=1, le=65535, description="Left out: 587, and 465 with security: tls.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the way is protected. Where the server has no STARTTLS nothing is sent, rather than plainly.",
    )
    sender: Address = Field(alias="from", description="The sender's address.")
    to: tuple[Address, ...] = Field(min_length=1, description="The recipients' addresses.")
    username: str | None = Field(None, description="The user, where the server asks for one.")
    password_file: Path | None = Field(None, description="A file that holds the user's password.")
    password_env: str | None = Field(None, description="An environment variable that holds it, in place of password_file.")
    password_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust; left out, the machine's.")
    cert_file: Path | None = Field(None, description="Our own certificate (PEM), for servers that ask for one.")
    key_file: Path | None = Field(None, description="The key of cert_file (PEM); left out, it is in cert_file.")

    @property
    def schema_name(self) -> str:
        """The form that documents are written in."""
        return "mail"

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return 60_000

    def wording(self) -> Schema:
        """Return what writes this sink's documents."""
        return self.message("mail")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.username is None) == has_secret(self, "password"):
            raise ValueError("'username' and a password go together")
        if self.username is not None and self.security == "none":
            raise ValueError("a password is not sent in the clear: take security: starttls or tls")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("'key_file' is given without 'cert_file'")
        return self


class EmailSink:
    """Sends through one mail server."""

    def __init__(self, settings: EmailSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._smtp: smtplib.SMTP | None = None
        self._had: OrderedDict[str, set[str]] = OrderedDict()

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents* one after the other."""
        return one_by_one(documents, self._deliver)

    def close(self) -> None:
        """Take leave of the server."""
        if self._smtp is not None:
            try:
                self._smtp.quit()
            except (smtplib.SMTPException, OSError):
                self._smtp.close()
        self._smtp = None

    def _deliver(self, document: Document) -> Outcome:
        try:
            self._smtp = self._connected()
            return self._to_each(self._smtp, document)
        except UnreadableSecretError as error:
            return Retry(str(error))
        except smtplib.SMTPResponseException as error:
            self.close()
            return Retry(f"{self._settings.host}: {_reply(error.smtp_code, error.smtp_error)}")
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            return Retry(f"{self._settings.host}: {clean(str(error))[:200] or type(error).__name__}")

    def _to_each(self, smtp: smtplib.SMTP, document: Document) -> Outcome:
        body = self._message(document).as_bytes(policy=SMTP)
        had = self._had.setdefault(document.id, set())
        while len(self._had) > REMEMBERED:
            self._had.popitem(last=False)
        replies: dict[str, tuple[int, str]] = {}
        for recipient in self._settings.to:
            if recipient not in had:
                replies[recipient] = _transaction(smtp, self._settings.sender, recipient, body)
                if replies[recipient][0] == 250:
                    had.add(recipient)
        later = [f"{one}: {said}" for one, (code, said) in replies.items() if code != 250 and not 500 <= code < 600]
        if later:
            return Retry("; ".join(later)[:400])
        self._had.pop(document.id, None)
        refused = [f"{one}: {said}" for one, (code, said) in replies.items() if code != 250]
        if len(refused) == len(self._settings.to):
            return Rejected("; ".join(refused)[:400])
        taken = next((said for code, said in replies.values() if code == 250), "sent")
        return Delivered("; ".join([taken, *(f"refused: {one}" for one in refused)])[:400])

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is not None:
            try:
                if self._smtp.noop()[0] == 250:
                    return self._smtp
            except (smtplib.SMTPException, OSError):
                pass
            self.close()
        settings = self._settings
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: b"")
        password = secret_of(settings, "password") if settings.username else ""
        made: smtplib.SMTP
        if settings.security == "tls":
            made = smtplib.SMTP_SSL(settings.host, settings.port or 465, timeout=CONNECT_SECS, context=context)
        else:
            made = smtplib.SMTP(settings.host, settings.port or 587, timeout=CONNECT_SECS)
        try:
            if settings.security == "starttls":
                made.starttls(context=context)  # raises where the server has none: nothing goes plainly
            made.ehlo_or_helo_if_needed()
            if settings.username:
                made.login(settings.username, password)
        except BaseException:
            made.close()
            raise
        return made

    def _message(self, document: Document) -> EmailMessage:
        parts: dict[str, Any] = json.loads(document.body)
        domain = self._settings.sender.rpartition("@")[2]
        made = EmailMessage(policy=SMTP)
        made["From"] = self._settings.sender
        made["To"] = ", ".join(self._settings.to)
        made["Subject"] = parts["subject"]
        made["Date"] = format_datetime(document.time)
        made["Message-ID"] = f"<{document.id}@{domain}>"
        if document.session:
            made["In-Reply-To"] = made["References"] = f"<{document.session}@{domain}>"
        made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
        made["X-Auto-Response-Suppress"] = "All"
        made["List-Id"] = f"Sentinel alerts <alerts.sentinel.{clean(socket.gethostname()) or 'host'}>"
        if parts["urgent"]:
            made["Importance"] = "high"
        made.set_content(parts["text"])
        made.add_alternative(parts["html"], subtype="html")
        return made


def _transaction(smtp: smtplib.SMTP, sender: str, recipient: str, body: bytes) -> tuple[int, str]:
    """Send *body* to one recipient, and return the last reply: its code, and what it says."""
    for step, address in ((smtp.mail, sender), (smtp.rcpt, recipient)):
        code, said = step(address)
        if code not in (250, 251):
            smtp.rset()
            return code, _reply(code, said)
    code, said = smtp.data(body)
    return code, _reply(code, said)


def _reply(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{code} {clean(text)[:160]}"


SINK = SinkKind(name="email", settings=EmailSettings, open=EmailSink, batch=10)
