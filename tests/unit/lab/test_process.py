import sys
import time

import pytest

from lab.errors import LabError
from lab.process import run, succeeds

FAIL = "import sys; print('first'); print('the reason', file=sys.stderr); sys.exit(3)"


def python(code):
    return [sys.executable, "-c", code]


def test_output_comes_back():
    assert run(python("print(input())"), stdin="hello").stdout == "hello\n"


def test_without_text_the_input_is_empty():
    assert run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_a_failure_says_what_and_why():
    with pytest.raises(LabError, match="ended with 3") as error:
        run(python(FAIL), fix="do this")
    assert "the reason" in error.value.what
    assert error.value.fix == "do this"


def test_a_failure_repeats_only_its_own_part_of_the_log(tmp_path):
    log = tmp_path / "logs" / "x.log"
    run(python("print('earlier')"), log=log)
    with pytest.raises(LabError) as error:
        run(python(FAIL), log=log)
    assert "the reason" in error.value.what
    assert "earlier" not in error.value.what
    assert str(log) in error.value.what
    assert "earlier" in log.read_text()


def test_a_missing_program_is_named():
    with pytest.raises(LabError, match="no-such-program cannot be started"):
        run(["no-such-program"])


def test_a_slow_program_is_ended():
    started = time.monotonic()
    with pytest.raises(LabError, match=r"did not finish within 0\.2 s"):
        run(python("import time; time.sleep(30)"), timeout=0.2)
    assert time.monotonic() - started < 10


def test_succeeds_never_raises():
    assert succeeds(python("pass"))
    assert not succeeds(python("raise SystemExit(1)"))
    assert not succeeds(["no-such-program"])
