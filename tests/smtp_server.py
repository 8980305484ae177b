"""A mail server for tests: takes everything in, and writes what it took to a file.

    smtp_server.py PORT FOLDER

Listens on 127.0.0.1: on PORT in the clear, with STARTTLS and AUTH offered; on another port, written to FOLDER/tls_port,
with TLS from the first byte. The certificate's authority is FOLDER/ca.pem; the one account is `countersign`, `open sesame`.
Each message that was taken is a line of JSON in FOLDER/messages.jsonl. Recipients whose address begins with `refused`,
`policy` or `later` are turned away; for `hang` and `vanish` the message is taken, and the answer never comes.
"""

import asyncio
import base64
import json
import pathlib
import ssl
import subprocess
import sys

from aiosmtpd.smtp import SMTP, AuthResult

REFUSALS = {
    "refused": "550 5.1.1 <{}>: no such user here",
    "policy": "550 5.7.1 <{}>: relaying denied",
    "later": "451 4.3.0 <{}>: try again later",
}


def certificate(folder):
    """A certificate for this machine, signed by an authority of its own."""
    ca, ca_key, key, cert = (str(folder / name) for name in ("ca.pem", "ca.key", "server.key", "server.pem"))
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    subprocess.run([*new, "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca], check=True, capture_output=True)
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    leaf = ["-subj", "/CN=localhost", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*new, *leaf, "-CA", ca, "-CAkey", ca_key, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


class Handler:
    def __init__(self, folder):
        self.messages = folder / "messages.jsonl"

    async def handle_RCPT(self, server, session, envelope, address, options):
        for beginning, answer in REFUSALS.items():
            if address.startswith(beginning):
                return answer.format(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None,
            "user": session.auth_data.decode() if session.auth_data else None,
            "data": base64.b64encode(envelope.original_content).decode(),
        }
        with self.messages.open("a") as file:
            file.write(json.dumps(taken) + "\n")
        if any(address.startswith("vanish") for address in envelope.rcpt_tos):
            server.transport.abort()
        if any(address.startswith(("hang", "vanish")) for address in envelope.rcpt_tos):
            await asyncio.sleep(3600)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = data.login == b"countersign" and data.password == b"open sesame"
    return AuthResult(success=known, handled=known, auth_data=data.login)


async def main(port, folder):
    folder.mkdir(exist_ok=True)
    context, handler, loop = certificate(folder), Handler(folder), asyncio.get_running_loop()
    handler.messages.touch()
    offered = {"hostname": "localhost", "authenticator": authenticate, "loop": loop}
    await loop.create_server(lambda: SMTP(handler, tls_context=context, **offered), "127.0.0.1", port)
    wrapped = await loop.create_server(
        lambda: SMTP(handler, auth_require_tls=False, **offered), "127.0.0.1", 0, ssl=context
    )
    (folder / "tls_port").write_text(str(wrapped.sockets[0].getsockname()[1]))
    print("ready to accept mail", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]), pathlib.Path(sys.argv[2])))
    except KeyboardInterrupt:
        pass
