"""A mail server for tests, with the moods that a mail server has.

The one argument is JSON: {"port": number or 0 for any, "starttls": "required" | "offered" | "none", "certificate": path, "key": path,
"user": text or null, "password": text, "refuse": [addresses answered with 550], "busy": messages that are first
answered with 451}. Prints one JSON line with its "port" when it listens, and one per message that it took:
{"from", "to", "data", "subject", "text", "html", "tls", "user"}; bytes of `data` that are not UTF-8 are written as
escapes, and what a mail program would show is decoded, or null.

Every line on standard input is answered by {"seen": number of messages so far}, after the messages themselves; its
end is ours.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def tell(value):
    print(json.dumps(value), flush=True)


def shown(content):
    """What a mail program makes of a message."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    parts = {name: message.get_body(preferencelist=(kind,)) for name, kind in [("text", "plain"), ("html", "html")]}
    return {"subject": message["Subject"]} | {name: part and part.get_content() for name, part in parts.items()}


class Mailbox:
    def __init__(self, config):
        self.refused = set(config["refuse"])
        self.busy = config["busy"]
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        if self.busy > 0:
            self.busy -= 1
            return "451 4.3.0 busy, try again later"
        self.taken += 1
        tell({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": envelope.original_content.decode("utf-8", "backslashreplace"),
            "tls": session.ssl is not None,
            "user": session.auth_data,
        } | shown(envelope.original_content))
        return "250 2.0.0 taken"


def authenticator(config):
    expected = (config["user"], config["password"])

    def check(server, session, envelope, mechanism, login):
        given = (login.login.decode(), login.password.decode())
        return AuthResult(success=given == expected, handled=False, auth_data=given[0])

    return check


def options(config):
    chosen = {"hostname": "127.0.0.1"}
    starttls = config["starttls"]
    if starttls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config["certificate"], config["key"])
        chosen |= {"tls_context": context, "require_starttls": starttls == "required"}
    if config["user"] is not None:
        chosen |= {
            "authenticator": authenticator(config),
            "auth_required": True,
            "auth_require_tls": starttls == "required",
        }
    return chosen


async def main(config):
    mailbox = Mailbox(config)
    chosen = options(config)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, **chosen), "127.0.0.1", config["port"])
    tell({"port": server.sockets[0].getsockname()[1]})
    questions = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while await questions.readline():
        tell({"seen": mailbox.taken})


asyncio.run(main(json.loads(sys.argv[1])))
