"""Where the lab's images come from, and choosing when it is left to the lab."""

import os
import urllib.error
import urllib.request
from enum import StrEnum

from lab.errors import LabError

VARIABLE = "LAB_IMAGES"
PROBE_URL = "https://registry-1.docker.io/v2/"
PROBE_SECONDS = 3


class Source(StrEnum):
    """The two sources."""

    UPSTREAM = "upstream"
    PACKAGES = "packages"


def choose(wanted: str | None = None) -> tuple[Source, str]:
    """Return the source and why it was taken.

    Args:
        wanted: ``upstream``, ``packages`` or ``auto``; the environment's wish without one.
    """
    wish = wanted or os.environ.get(VARIABLE, "auto")
    if wish in set(Source):
        return Source(wish), f"{VARIABLE}={wish}"
    if wish != "auto":
        allowed = ", ".join(["auto", *Source])
        raise LabError(f"{VARIABLE}={wish!r} is no source of images", f"use one of: {allowed}")
    if registry_answers():
        return Source.UPSTREAM, "a container registry answers"
    return Source.PACKAGES, "no container registry can be reached"


def registry_answers(url: str = PROBE_URL, seconds: float = PROBE_SECONDS) -> bool:
    """Say whether the best known registry answers; proxies are used as the environment says."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # a fixed https address
    try:
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        # Asking for a token is a registry's usual answer; a proxy's refusal is not.
        return error.code == 401 and "Www-Authenticate" in error.headers
    except OSError:
        return False
