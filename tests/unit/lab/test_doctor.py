import socket

from lab import doctor


def test_memory_is_read_from_the_kernel():
    assert doctor.memory_gib("MemTotal:       8388608 kB\nMemFree: 1 kB\n") == 8


def test_a_port_someone_listens_on_is_not_free():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not doctor.is_free(listener.getsockname()[1])


def test_whatever_is_wrong_says_what_helps():
    for finding in doctor.examine():
        assert finding.state in {"ok", "later", "warn", "fail"}
        assert finding.detail
        assert finding.fix or finding.state in {"ok", "later"}
