import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

from lab import certificate, idtoken, paths
from lab.environment import LOGIN_HOST
from lab.errors import LabError


class Provider(BaseHTTPRequestHandler):
    """Answers as a token endpoint does, and writes down what it was asked."""

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked = (self.path, self.headers, {name: form[name][0] for name in form})
        good = form["password"] == ["right"]
        body = json.dumps({"id_token": "the.id.token"} if good else {"error": "access_denied"})
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def provider(tmp_path, monkeypatch):
    issued = certificate.issue(LOGIN_HOST, certificate.now())
    for name, text in (("ca", issued.authority), ("crt", issued.chain), ("key", issued.key)):
        (tmp_path / name).write_text(text)
    server = HTTPServer(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(paths, "LOGIN_CA", tmp_path / "ca")
    monkeypatch.setattr(paths, "IDENTITIES", tmp_path)
    monkeypatch.setattr(idtoken, "LOGIN_URL", f"https://{LOGIN_HOST}:{server.server_port}/dex")
    (tmp_path / "maas-web.secret").write_text("client secret")
    (tmp_path / "alice.password").write_text("right")
    (tmp_path / "bob.password").write_text("wrong")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_user_signs_in_as_themselves(provider):
    assert idtoken.obtain("alice") == "the.id.token"
    path, headers, form = provider.asked
    assert path == "/dex/token"
    assert headers["Host"] == "login.lab.test:8444"
    basic = headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"maas-web:client secret"
    assert (form["username"], form["grant_type"]) == ("alice@lab.test", "password")
    assert "groups" in form["scope"].split()


def test_a_refusal_says_who_and_what_but_no_secret(provider):
    with pytest.raises(LabError, match=r"401 when bob signs in: .*access_denied") as error:
        idtoken.obtain("bob")
    assert "wrong" not in error.value.what
    assert "client secret" not in error.value.what


def test_a_server_with_another_certificate_is_not_asked(provider, tmp_path, monkeypatch):
    (tmp_path / "other").write_text(certificate.issue(LOGIN_HOST, certificate.now()).authority)
    monkeypatch.setattr(paths, "LOGIN_CA", tmp_path / "other")
    with pytest.raises(LabError, match="does not answer"):
        idtoken.obtain("alice")


def test_without_a_lab_the_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "IDENTITIES", tmp_path)
    with pytest.raises(LabError, match=r"alice\.password cannot be read: No such file") as error:
        idtoken.obtain("alice")
    assert error.value.fix == "python -m lab up"


def test_strangers_are_named():
    with pytest.raises(LabError, match="no user 'eve'"):
        idtoken.obtain("eve")
