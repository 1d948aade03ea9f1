"""An ID token for one of the lab's people without a browser: for tests, and to try the API."""

import ssl
from pathlib import Path

import httpx

from lab import identities, login, passwords, paths
from lab.environment import LOGIN_HOST, LOGIN_URL
from lab.errors import LabError
from lab.kindconfig import LOGIN_PORT

SCOPES = "openid profile email groups"
SECONDS = 15


def obtain(name: str) -> str:
    """Return an ID token for someone."""
    known = [person.name for person in identities.PEOPLE]
    if name not in known:
        raise LabError(f"the lab has no user {name!r}", f"its users are {', '.join(known)}")
    answer = _ask(
        {
            "grant_type": "password",
            "scope": SCOPES,
            "username": login.mail(name),
            "password": _read(passwords.file(paths.IDENTITIES, name)),
        }
    )
    if answer.status_code != httpx.codes.OK:
        raise LabError(
            f"{LOGIN_URL} answers {answer.status_code} when {name} signs in: {answer.text[:200]}",
            "python -m lab up",
        )
    token: str = answer.json()["id_token"]
    return token


def _ask(form: dict[str, str]) -> httpx.Response:
    secret = _read(paths.IDENTITIES / login.SECRET_FILE)
    # The host is in no DNS: the connection goes to loopback, and the certificate is for the name.
    try:
        with httpx.Client(
            verify=ssl.create_default_context(cafile=str(paths.LOGIN_CA)),
            trust_env=False,
            timeout=SECONDS,
        ) as client:
            return client.post(
                LOGIN_URL.replace(LOGIN_HOST, "127.0.0.1") + "/token",
                headers={"Host": f"{LOGIN_HOST}:{LOGIN_PORT}"},
                extensions={"sni_hostname": LOGIN_HOST},
                auth=(login.CLIENT, secret),
                data=form,
            )
    except (httpx.HTTPError, OSError) as error:
        raise LabError(f"{LOGIN_URL} does not answer: {error}", "python -m lab up") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}", "python -m lab up") from error
