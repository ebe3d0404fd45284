"""A mail provider for the mail tests, whose behavior is configurable.

usage: server.py DIRECTORY PORT [CERTIFICATE KEY implicit|starttls]

Prints its port, then accepts mail from user "mainstay" with password "sesame". It stores each accepted mail in DIRECTORY as a
JSON file, parsed by Python's own parser. For each mail it reads DIRECTORY/behaviour, a JSON object:

    rcpt, data   the answer at that stage; "hang" for none; at the end of data also "drop": accept the mail and close
                 the connection without an answer
    wait         seconds before the answer at the end of data
"""

import asyncio
import email
import email.policy
import json
import os
import pathlib
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult

MOST_BYTES = 1 << 20


class Provider:
    def __init__(self, directory):
        self.directory = directory
        self.at_once = 0

    def behaviour(self, what):
        try:
            return json.loads((self.directory / "behaviour").read_text()).get(what)
        except FileNotFoundError:
            return None

    async def answer(self, stage):
        behaviour = self.behaviour(stage)
        if behaviour == "hang":
            await asyncio.Event().wait()
        return behaviour

    def authenticate(self, server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"mainstay", b"sesame"), handled=True)

    async def handle_RCPT(self, server, session, envelope, address, options):
        (self.directory / f"{time.time_ns()}.attempt").touch()
        behaviour = await self.answer("rcpt")
        if behaviour:
            return behaviour
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.at_once += 1
        try:
            await asyncio.sleep(self.behaviour("wait") or 0)
            behaviour = await self.answer("data")
            if behaviour and behaviour != "drop":
                return behaviour
            self.keep(server, session, envelope)
        finally:
            self.at_once -= 1
        if behaviour == "drop":
            server.transport.abort()
        return "250 OK"

    def keep(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = {part: message.get_body((part,)) for part in ("plain", "html")}
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "defects": [str(defect) for part in message.walk() for defect in part.defects],
            "text": body["plain"].get_content() if body["plain"] else None,
            "html": body["html"].get_content() if body["html"] else None,
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "user": session.authenticated,
            "atOnce": self.at_once,
        }
        path = self.directory / f"{time.time_ns()}.json"
        aside = path.with_suffix(".aside")
        aside.write_text(json.dumps(mail))
        os.replace(aside, path)


async def main(directory, port, certificate=None, key=None, encryption=None):
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    provider = Provider(pathlib.Path(directory))
    starttls = context if encryption == "starttls" else None

    def session():
        return SMTP(
            provider,
            hostname="provider.example",
            data_size_limit=MOST_BYTES,
            authenticator=provider.authenticate,
            auth_required=True,
            auth_require_tls=starttls is not None,
            require_starttls=starttls is not None,
            tls_context=starttls,
        )

    implicit = context if encryption == "implicit" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port), ssl=implicit)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
