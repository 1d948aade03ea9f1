"""Where the lab's people sign in: Dex, a real OpenID Connect provider, in the lab's cluster.

Its address is the same for browsers on this machine and for pods, because a token names it and
both have to agree: the port is published on loopback, and the cluster's DNS knows the host.
"""

import hashlib
import json
from typing import Any

from lab import certificate, identities, kubectl, manifest, passwords, paths, supply
from lab.environment import HOST, LOGIN_HOST, LOGIN_URL
from lab.kindconfig import HTTPS_PORT, LOGIN_NODE_PORT, LOGIN_PORT
from lab.report import Report

NAMESPACE = "lab-login"
# Of those Service addresses that Kubernetes never gives out by itself.
ADDRESS = "10.96.0.44"
HOSTS = {LOGIN_HOST: ADDRESS}
READY = ("--namespace", NAMESPACE, "rollout", "status", "deployment/dex", "--timeout", "120s")

CLIENT = "maas-web"
SECRET_FILE = f"{CLIENT}.secret"
REDIRECTS = (
    f"https://{HOST}:{HTTPS_PORT}/ui/callback",
    # The service on a developer's own machine.
    "http://127.0.0.1:8000/ui/callback",
)
MAIL_DOMAIN = "lab.test"


def ensure(report: Report) -> None:
    """Have the provider run, with this lab's people."""
    with report.stage("sign-in at Dex"):
        names = [person.name for person in identities.PEOPLE]
        hashes = passwords.ensure(paths.IDENTITIES, names)
        secret = passwords.ensure_secret(paths.IDENTITIES / SECRET_FILE)
        issued = ensure_certificate()
        text = json.dumps(configuration(hashes, secret))
        manifest.apply(objects(text, issued))
        kubectl.ask(*READY, timeout=150, fix="python -m lab logs")


def ensure_certificate() -> certificate.Certificate:
    """Return the provider's certificate, a new one if the old is not good any more."""
    files = (paths.LOGIN_CA, paths.LOGIN_CERTIFICATE, paths.LOGIN_KEY)
    if all(path.is_file() for path in files):
        found = certificate.Certificate(*(path.read_text(encoding="utf-8") for path in files))
        if certificate.is_good(found.chain, LOGIN_HOST, certificate.now()):
            return found
    issued = certificate.issue(LOGIN_HOST, certificate.now())
    for path, text in zip(files, (issued.authority, issued.chain, issued.key), strict=True):
        paths.write_private(path, text)
    return issued


def configuration(hashes: dict[str, str], secret: str) -> dict[str, Any]:
    """Return Dex's configuration.

    Args:
        hashes: The bcrypt hash of everyone's password, by name.
        secret: The web pages' client secret.
    """
    return {
        "issuer": LOGIN_URL,
        "storage": {"type": "memory"},
        "web": {
            "https": f"0.0.0.0:{LOGIN_PORT}",
            "tlsCert": "/etc/dex-tls/tls.crt",
            "tlsKey": "/etc/dex-tls/tls.key",
        },
        "telemetry": {"http": "0.0.0.0:5558"},
        "frontend": {"issuer": "The lab"},
        "logger": {"level": "info", "format": "json"},
        "oauth2": {
            # The last one lets programs sign in without a browser, with local passwords.
            "grantTypes": ["authorization_code", "refresh_token", "password"],
            "passwordConnector": "local",
            "skipApprovalScreen": True,
        },
        "expiry": {"idTokens": "1h"},
        "enablePasswordDB": True,
        "staticPasswords": [_person(person, hashes[person.name]) for person in identities.PEOPLE],
        "staticClients": [
            {
                "id": CLIENT,
                "name": "Models as a Service",
                "secret": secret,
                "redirectURIs": list(REDIRECTS),
            }
        ],
    }


def objects(text: str, issued: certificate.Certificate) -> list[dict[str, Any]]:
    """Return what goes into the cluster; the namespace first.

    Args:
        text: Dex's configuration.
        issued: Its certificate.
    """
    # Dex reads both when it starts, so it has to start again when one changes.
    digest = hashlib.sha256(f"{text}{issued.chain}".encode()).hexdigest()
    namespace, *others = manifest.read(
        "login",
        namespace=NAMESPACE,
        image=supply.reference("dex"),
        address=ADDRESS,
        port=str(LOGIN_PORT),
        node_port=str(LOGIN_NODE_PORT),
        digest=digest,
    )
    pair = {"tls.crt": issued.chain, "tls.key": issued.key}
    return [
        namespace,
        manifest.secret(NAMESPACE, "dex", {"config.json": text}),
        manifest.secret(NAMESPACE, "dex-tls", pair),
        *others,
    ]


def mail(name: str) -> str:
    """Return what someone signs in with."""
    return f"{name}@{MAIL_DOMAIN}"


def _person(person: identities.Identity, value: str) -> dict[str, Any]:
    return {
        "email": mail(person.name),
        "hash": value,
        "username": person.name,
        "name": person.name.capitalize(),
        "preferredUsername": person.name,
        "userID": f"lab-{person.name}",
        "groups": list(person.groups),
    }
