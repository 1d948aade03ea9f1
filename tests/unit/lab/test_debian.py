import subprocess

import pytest

from lab import debian


@pytest.fixture
def said(monkeypatch, tmp_path):
    """What programs are called with, and the answer they all give."""
    calls = []
    answer = {"text": ""}

    def run(argv, **_options):
        calls.append([str(word) for word in argv])
        return subprocess.CompletedProcess(argv, 0, answer["text"], "")

    monkeypatch.setattr(debian, "run", run)
    return calls, answer


TARGETS = """Debian-Security Debian-Security http://mirror.test/debian-security/
Debian Debian http://mirror.test/debian/
"""


def test_the_mirror_is_the_hosts_own(said):
    _, answer = said
    answer["text"] = TARGETS
    assert debian.mirror() == "http://mirror.test/debian/"
    answer["text"] = "Ubuntu Ubuntu http://mirror.test/ubuntu/\n"
    assert debian.mirror() is None


def test_a_release_comes_with_its_updates_and_checked_signatures(said, tmp_path):
    calls, answer = said
    answer["text"] = TARGETS
    debian.make_root("bookworm", ["libc6", "iptables"], tmp_path / "root", tmp_path / "log")
    command = calls[-1]
    assert "--include=libc6,iptables" in command
    assert command[-2:] == [
        f"deb [signed-by={debian.KEYRING}] http://mirror.test/debian/ bookworm main",
        f"deb [signed-by={debian.KEYRING}] http://mirror.test/debian/ bookworm-updates main",
    ]
    assert not any("Check-Valid-Until" in word for word in command)


def test_an_unreleased_suite_has_no_updates_and_may_be_old(said, tmp_path):
    calls, answer = said
    answer["text"] = TARGETS
    debian.make_root("sid", ["a"], tmp_path / "r", tmp_path / "log", keep_old_index=True)
    assert calls[-1][-1].endswith(" sid main")
    assert "--aptopt=Acquire::Check-Valid-Until false" in calls[-1]


def test_libraries_are_read_from_the_loader(said, tmp_path):
    _, answer = said
    answer["text"] = (
        "\tlinux-vdso.so.1 (0x00007f6af808c000)\n"
        "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6af760a000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f6af808e000)\n"
    )
    assert debian.library_closure(tmp_path, ["/bin/true"]) == [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ]


def test_files_are_found_through_links_inside_the_root(tmp_path):
    library = tmp_path / "usr/lib/x"
    library.mkdir(parents=True)
    (library / "libc.so.6.1").write_text("")
    (library / "libc.so.6").symlink_to("libc.so.6.1")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "absolute").symlink_to("/usr/lib/x/libc.so.6")
    (tmp_path / "outside").symlink_to("../../../usr/lib/x/libc.so.6")
    real = library / "libc.so.6.1"
    paths = ["/lib/x/libc.so.6", "/absolute", "/outside"]
    assert debian.take_files(tmp_path, paths) == {
        "lib/x/libc.so.6": real,
        "absolute": real,
        "outside": real,
    }
