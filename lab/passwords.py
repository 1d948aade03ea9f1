"""What the lab's people, and the MaaS API's web pages, prove themselves with when they sign in.

Random, made once for each lab, readable by their owner only, and never printed. The provider gets
hashes; they are kept beside the passwords, because a new hash of an old password looks different.
"""

import secrets
from collections.abc import Iterable
from pathlib import Path

import bcrypt

from lab import paths

HASHES = "passwords.bcrypt"
# The lowest that Dex takes; the passwords are random, and a slower one would slow every sign-in.
ROUNDS = 10


def ensure(directory: Path, people: Iterable[str]) -> dict[str, str]:
    """Have a password for everyone; return the hashes by name."""
    paths.make_private(directory)
    names = list(people)
    known = _read(directory / HASHES)
    if set(known) == set(names) and all(file(directory, name).is_file() for name in names):
        return known
    made = {}
    for name in names:
        password = secrets.token_urlsafe(18)
        paths.write_private(file(directory, name), password)
        made[name] = bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()
    lines = [f"{name}:{value}\n" for name, value in made.items()]
    paths.write_private(directory / HASHES, "".join(lines))
    return made


def ensure_secret(path: Path) -> str:
    """Have a random secret in a file; return it."""
    if not path.is_file():
        paths.write_private(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8")


def file(directory: Path, name: str) -> Path:
    """Return where someone's password is."""
    return directory / f"{name}.password"


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
