"""Finding the engine that runs already."""

from lab.engine import client, daemon
from lab.engine.client import Engine
from lab.errors import LabError


def running() -> Engine | None:
    """Return the lab's own engine where it runs, else the user's; None where none answers."""
    own = daemon.engine()
    return own if daemon.exists() and own.answers() else foreign()


def foreign() -> Engine | None:
    """Return the engine that the user has, None where none answers."""
    host = client.configured_host()
    if host == daemon.engine().host:
        # Left in the environment by an earlier lab.
        return None
    if host and client.is_remote(host):
        raise LabError(
            f"DOCKER_HOST={host} is another machine's engine; the lab listens on loopback there",
            "unset DOCKER_HOST, or run the lab on that machine",
        )
    engine = Engine(host=host)
    return engine if engine.answers() else None
