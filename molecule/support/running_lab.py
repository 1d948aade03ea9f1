# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Where the lab is: what `python -m lab up` wrote into .lab/."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from hidden import Hidden

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Lab:
    """The addresses and files of the running lab."""

    folder: Path
    host: str
    port: int
    address: str
    http_port: int
    ca: Path
    kubeconfig: Path
    kubectl: Path

    @classmethod
    def read(cls, folder: Path = CHECKOUT / ".lab") -> Lab:
        """Read .lab/env; say what to run where there is none."""
        try:
            text = (folder / "env").read_text()
        except FileNotFoundError as exc:
            raise RuntimeError(f"{folder}/env does not exist: run `make lab` first") from exc
        env = _assignments(text)
        host, port, address = env["MAAS_RESOLVE"].split(":")
        return cls(
            folder=folder,
            host=host,
            port=int(port),
            address=address,
            # The lab publishes plain HTTP beside HTTPS; it is a fixed part of its kind cluster.
            http_port=8080,
            ca=Path(env["MAAS_CA"]),
            kubeconfig=Path(env["KUBECONFIG"]),
            kubectl=folder / "bin" / "kubectl",
        )

    @property
    def authority(self) -> str:
        """What a client writes after https://."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The public base URL."""
        return f"https://{self.authority}"

    def identity(self, user: str) -> str:
        """Return the login token of one of the lab's users."""
        return Hidden((self.folder / "identities" / f"{user}.token").read_text().strip())

    @property
    def signing_key(self) -> str:
        """The cluster's ServiceAccount signing key, PEM."""
        return Hidden((self.folder / "sa.key").read_text())


def _assignments(text: str) -> dict[str, str]:
    """Parse shell assignments, with or without `export`."""
    words = (word for word in shlex.split(text, comments=True) if "=" in word)
    return dict(word.split("=", 1) for word in words)
