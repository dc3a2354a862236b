"""A small timestamp authority by RFC 3161 on loopback: OpenSSL signs, as it does at real authorities."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_SETTINGS = """\
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = own
[own]
dir = {folder}
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/leaf.crt
signer_key = {folder}/leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


@dataclass
class Authority:
    folder: Path
    address: str = ""
    queries: list[bytes] = field(default_factory=list)
    answer: bytes | None = None
    """What it answers in place of a timestamp."""

    @property
    def root(self) -> Path:
        """The certificate that those trust who trust the authority."""
        return self.folder / "root.crt"

    def openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def prepare(self) -> None:
        self.folder.mkdir()
        settings = self.folder / "openssl.cnf"
        settings.write_text(_SETTINGS.format(folder=self.folder))
        (self.folder / "serial").write_text("01\n")
        for name in ("root", "leaf"):
            self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
        self.openssl("req", "-x509", "-new", "-key", "root.key", "-subj", "/CN=Root of an authority", "-days", "30",
                     "-config", settings, "-extensions", "root", "-out", "root.crt")  # fmt: skip
        self.openssl(
            "req", "-new", "-key", "leaf.key", "-subj", "/CN=Authority", "-config", settings, "-out", "leaf.csr"
        )
        self.openssl("x509", "-req", "-in", "leaf.csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial",
                     "-days", "30", "-extfile", settings, "-extensions", "leaf", "-out", "leaf.crt")  # fmt: skip

    def reply(self, query: bytes) -> bytes:
        self.queries.append(query)
        if self.answer is not None:
            return self.answer
        (self.folder / "query").write_bytes(query)
        self.openssl(
            "ts", "-reply", "-queryfile", "query", "-config", "openssl.cnf", "-section", "own", "-out", "reply"
        )
        return (self.folder / "reply").read_bytes()


@contextmanager
def serving(folder: Path) -> Iterator[Authority]:
    authority = Authority(folder)
    authority.prepare()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            reply = authority.reply(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    authority.address = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
