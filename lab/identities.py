"""The people of the lab: users whom its API server knows by a bearer token each.

The API server reads them from a static token file. The tokens are random, made once for each
cluster, readable by their owner only, and never printed.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from lab import paths


@dataclass(frozen=True)
class Identity:
    """A user and the groups the API server puts them in."""

    name: str
    groups: tuple[str, ...] = ()


PEOPLE = (
    Identity("alice", ("tier-free-users",)),
    Identity("bob", ("tier-free-users",)),
    Identity("carol", ("tier-premium-users",)),
    Identity("dave", ("tier-premium-users",)),
    Identity("erin", ("tier-enterprise-users",)),
    # Administers the MaaS API; in no group that a tier names.
    Identity("ada", ("maas-admins",)),
    # In no group at all.
    Identity("mallory"),
)
TOKEN_FILE = "tokens.csv"  # noqa: S105  # a file's name


def create(directory: Path) -> None:
    """Make new tokens: one file for each person, and the API server's file of all."""
    paths.make_private(directory)
    lines = []
    for person in PEOPLE:
        token = secrets.token_urlsafe(32)
        paths.write_private(directory / f"{person.name}.token", token)
        lines.append(token_line(token, person))
    paths.write_private(directory / TOKEN_FILE, "".join(lines))


def complete(directory: Path) -> bool:
    """Say whether every person has a token."""
    files = [TOKEN_FILE, *(f"{person.name}.token" for person in PEOPLE)]
    return all((directory / name).is_file() for name in files)


def token_line(token: str, person: Identity) -> str:
    """Return a line of the API server's token file: token, user, uid, groups."""
    groups = f',"{",".join(person.groups)}"' if person.groups else ""
    return f"{token},{person.name},lab-{person.name}{groups}\n"
