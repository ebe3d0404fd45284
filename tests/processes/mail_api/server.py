"""The parts of the HTTP APIs of Resend, SendGrid and Amazon SES that send mail.

Arguments: the directory for accepted mail and for the file "behaviour", and a port (0: any). Prints the port.
"""

import base64
import email
import email.policy
import hashlib
import hmac
import json
import pathlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIRECTORY = pathlib.Path(sys.argv[1])
KEYS = {"/emails": "re_sesame", "/v3/mail/send": "SG.sesame"}
AWS_KEY, AWS_SECRET, AWS_REGION = "AKIDSESAME", "aws-sesame", "eu-central-1"
LOCK = threading.Lock()
KNOWN = {}


def behaviour():
    path = DIRECTORY / "behaviour"
    return json.loads(path.read_text()) if path.exists() else {}


def signature(handler, body):
    """The signature that AWS would compute for a request."""
    said = dict(part.strip().split("=", 1) for part in handler.headers["authorization"].split(" ", 1)[1].split(","))
    _, day, region, service, _ = said["Credential"].split("/")
    names = said["SignedHeaders"].split(";")
    lines = "".join(f"{name}:{handler.headers[name].strip()}\n" for name in names)
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"POST\n{handler.path}\n\n{lines}\n{';'.join(names)}\n{digest}"
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{handler.headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + AWS_SECRET).encode()
    for part in [day, region, service, "aws4_request"]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    is_ours = said["Credential"].startswith(f"{AWS_KEY}/") and region == AWS_REGION and service == "ses"
    return is_ours and "host" in names and expected == said["Signature"]


def read(path, body):
    """The content of a mail, from any API's request."""
    if path == "/emails":
        mail = {"to": body["to"], "from": body["from"], "subject": body["subject"], "text": body["text"]}
        return mail | {"html": body["html"], "headers": body["headers"]}
    if path == "/v3/mail/send":
        assert body["tracking_settings"]["click_tracking"] == {"enable": False}
        content = {part["type"]: part["value"] for part in body["content"]}
        mail = {"to": [to["email"] for part in body["personalizations"] for to in part["to"]], "subject": body["subject"]}
        sender = f'{body["from"]["name"]} <{body["from"]["email"]}>'
        return mail | {"from": sender, "text": content["text/plain"], "html": content["text/html"], "headers": body["headers"]}
    message = email.message_from_bytes(base64.b64decode(body["Content"]["Raw"]["Data"]), policy=email.policy.default)
    assert not message.defects, message.defects
    parts = {kind: message.get_body((kind,)).get_content() for kind in ["plain", "html"]}
    mail = {"to": body["Destination"]["ToAddresses"], "from": body["FromEmailAddress"], "subject": message["subject"]}
    return mail | {"text": parts["plain"], "html": parts["html"], "headers": dict(message.items())}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        (DIRECTORY / f"{time.monotonic_ns()}.attempt").write_text(self.path)
        told = behaviour()
        time.sleep(told.get("wait", 0))
        if "status" in told:
            self.answer(told["status"], told.get("body"), told.get("headers", {}).items())
            return
        if self.path in KEYS:
            known = self.headers["authorization"] == f"Bearer {KEYS[self.path]}"
        else:
            known = self.path == "/v2/email/outbound-emails" and signature(self, body)
        if not known:
            self.answer(403, {"message": "who are you?"})
            return
        mail = read(self.path, json.loads(body))
        mail["headers"] = {name.lower(): value for name, value in mail["headers"].items()}
        key = self.headers["idempotency-key"]
        with LOCK:
            if key is not None and KNOWN.get(key, body) != body:
                self.answer(409, {"name": "invalid_idempotent_request", "message": "the key has another payload"})
                return
            if key is None or key not in KNOWN:
                KNOWN[key] = body
                (DIRECTORY / f"{time.monotonic_ns()}.json").write_text(json.dumps(mail | {"path": self.path}))
        self.answer(202 if self.path == "/v3/mail/send" else 200, None if self.path == "/v3/mail/send" else {"id": "1"})


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
print(server.server_port, flush=True)
server.serve_forever()
