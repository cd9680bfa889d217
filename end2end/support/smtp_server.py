"""A real SMTP server (aiosmtpd) for the tests: keeps every message as a file of JSON, prints its port when it listens.

Usage: smtp_server.py FOLDER [--user NAME PASSWORD] [--starttls CERT KEY | --ssl CERT KEY]

Each file holds what came by the wire and how Python's own readers understand it: the headers, the text, the HTML, and each
attachment; of a CSV attachment also its cells. A recipient whose address begins with "refused" is refused for good.
"""

import csv
import io
import json
import pathlib
import ssl
import sys
import threading
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Keep:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        attachments = []
        for part in message.iter_attachments():
            content = part.get_content()
            if isinstance(content, str):
                content = content.encode("utf-8")
            entry = {"name": part.get_filename(), "type": part.get_content_type(), "size": len(content)}
            path = self.folder / f"{self.count}-{entry['name']}"
            path.write_bytes(content)
            entry["path"] = str(path)
            if entry["type"] == "text/csv":
                text = content.decode("utf-8-sig")
                delimiter = ";" if ";" in text.splitlines()[0] else ","
                entry["cells"] = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
            attachments.append(entry)
        body = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "secure": session.ssl is not None,
            "user": session.auth_data.login.decode() if session.auth_data else None,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "text": body["plain"] and body["plain"].get_content(),
            "html": body["html"] and body["html"].get_content(),
            "attachments": attachments,
        }
        self.count += 1
        file = self.folder / f"{self.count:04}.json"
        partial = file.with_suffix(".part")
        partial.write_text(json.dumps(kept))
        partial.rename(file)
        return "250 2.0.0 kept"


def main(arguments):
    folder = pathlib.Path(arguments.pop(0))
    options = {"hostname": "127.0.0.1", "port": 0}
    while arguments:
        option = arguments.pop(0)
        first, second = arguments.pop(0), arguments.pop(0)
        if option == "--user":

            def check(server, session, envelope, mechanism, data, name=first, password=second):
                if (data.login, data.password) == (name.encode(), password.encode()):
                    return AuthResult(success=True, auth_data=data)
                return AuthResult(success=False, handled=False)

            options.update(authenticator=check, auth_required=True, auth_require_tls=False)
        else:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(first, second)
            options.update({"tls_context": context, "require_starttls": True} if option == "--starttls" else {"ssl_context": context})
    # The controller looks at its own port once; it is chosen here instead.
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        options["port"] = probe.getsockname()[1]
    controller = Controller(Keep(folder), **options)
    controller.start()
    print(f"listening on {options['port']}", flush=True)
    threading.Event().wait()


main(sys.argv[1:])
