"""The one way the lab starts other programs: argument lists, no shell, errors with their reason.

Secrets never go into argument lists, where every user of the machine could read them; they go
through ``stdin`` or a file.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from lab.errors import LabError

# How much of a failed program's output an error repeats.
TAIL_LINES = 20


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    log: Path | None = None,
    timeout: float | None = None,
    check: bool = True,
    fix: str = "",
    keep_open: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Args:
        argv: The program and its arguments.
        env: Variables to set over this process's own.
        cwd: The directory to run in.
        stdin: Text for the program's standard input; without it the input is empty.
        log: Append all output to this file instead of capturing it.
        timeout: Seconds after which the program is killed.
        check: Raise when the program fails.
        fix: What the reader of the error is to do next.
        keep_open: File descriptors the program inherits.

    Returns:
        The finished program; its output is empty when it went to ``log``.

    Raises:
        LabError: The program is missing, took too long, or failed while ``check`` is set.
    """
    words = [str(word) for word in argv]
    environment = {**os.environ, **(env or {})}
    start = _size(log)
    try:
        with _output(log) as output:
            done = subprocess.run(
                words,
                env=environment,
                cwd=cwd,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=output,
                stderr=subprocess.STDOUT if log else output,
                text=True,
                timeout=timeout,
                check=False,
                pass_fds=keep_open,
            )
    except FileNotFoundError as error:
        missing = cwd if cwd and not cwd.exists() else words[0]
        raise LabError(
            f"{words[0]} cannot be started: {missing} does not exist",
            fix or "python -m lab doctor names what is missing",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{_name(words)} did not finish within {timeout:g} s", fix) from error
    done.stdout, done.stderr = done.stdout or "", done.stderr or ""
    if check and done.returncode != 0:
        said = _since(log, start) if log else f"{done.stdout}\n{done.stderr}"
        where = f"\nthe whole output: {log}" if log else ""
        raise LabError(
            f"{_name(words)} ended with {done.returncode}:\n{_tail(said)}{where}",
            fix,
        )
    return done


def succeeds(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, timeout: float = 30
) -> bool:
    """Say whether a program ends well; missing programs and slow ones do not."""
    try:
        return run(argv, env=env, timeout=timeout, check=False).returncode == 0
    except LabError:
        return False


def _output(log: Path | None) -> AbstractContextManager[IO[str] | int]:
    """Return where output goes: the end of a file, or a pipe that is read."""
    if log is None:
        return nullcontext(subprocess.PIPE)
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a", encoding="utf-8")


def _size(log: Path | None) -> int:
    return log.stat().st_size if log and log.exists() else 0


def _since(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def _tail(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])


def _name(words: Sequence[str]) -> str:
    """Name a command by its first words: enough to know it, short enough to read."""
    return " ".join([Path(words[0]).name, *words[1:4]])
