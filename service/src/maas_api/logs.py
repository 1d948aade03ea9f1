# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Logs: one JSON object a line on standard output, tokens struck out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from .secret import STARS

#: The request that is being answered; every line of its log carries it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# No log call is given a token. This is the second wall: a library's or a cluster's error
# text might quote one.
_JWT = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',]+")


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Send our log lines, and those of the libraries, to one stream in one form."""
    out = stream or sys.stdout
    number = logging.getLevelName(level.upper())
    structlog.configure(
        processors=_processors(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        # Making a logger anew at every call costs more than a lookup may; tests change streams.
        cache_logger_on_first_use=stream is None,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
            foreign_pre_chain=_processors()[:-1],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # One line a call to the API server would bury everything else.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def audit_logger() -> structlog.BoundLogger:
    """Return the logger of the audit trail, which no log level silences."""
    config = structlog.get_config()
    logger: structlog.BoundLogger = structlog.wrap_logger(
        config["logger_factory"](),
        processors=config["processors"],
        wrapper_class=structlog.BoundLogger,
        log="audit",
    )
    return logger


def _processors() -> Sequence[Processor]:
    return [
        structlog.processors.add_log_level,
        _add_request_id,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Plain tracebacks: the ones with local variables would print what those hold.
        structlog.processors.format_exc_info,
        strike_tokens,
        _render,
    ]


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    current = request_id.get()
    if current:
        event.setdefault("request_id", current)
    return event


def strike_tokens(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace whatever looks like a token in the values of a log line."""
    for key, value in event.items():
        if isinstance(value, str) and ("eyJ" in value or "earer" in value.lower()):
            event[key] = _BEARER.sub(rf"\1 {STARS}", _JWT.sub(STARS, value))
    return event


_render = structlog.processors.JSONRenderer(sort_keys=False)
