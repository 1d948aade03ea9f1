import bcrypt
import pytest

from lab import passwords


def test_the_hashes_are_those_of_the_passwords(tmp_path):
    hashes = passwords.ensure(tmp_path, ["alice", "bob"])
    assert set(hashes) == {"alice", "bob"}
    for name, value in hashes.items():
        password = passwords.file(tmp_path, name).read_bytes()
        assert len(password) >= 20
        assert bcrypt.checkpw(password, value.encode())


def test_they_stay_as_they_are(tmp_path):
    first = passwords.ensure(tmp_path, ["alice", "bob"])
    assert passwords.ensure(tmp_path, ["alice", "bob"]) == first


@pytest.mark.parametrize("lost", ["alice.password", passwords.HASHES])
def test_what_is_incomplete_is_made_anew(lost, tmp_path):
    first = passwords.ensure(tmp_path, ["alice", "bob"])
    (tmp_path / lost).unlink()
    second = passwords.ensure(tmp_path, ["alice", "bob"])
    assert first["alice"] != second["alice"]
    assert bcrypt.checkpw(passwords.file(tmp_path, "alice").read_bytes(), second["alice"].encode())


def test_somebody_new_gets_one(tmp_path):
    passwords.ensure(tmp_path, ["alice"])
    assert set(passwords.ensure(tmp_path, ["alice", "ada"])) == {"alice", "ada"}
    assert passwords.file(tmp_path, "ada").is_file()


def test_only_the_owner_reads_them(tmp_path):
    directory = tmp_path / "identities"
    passwords.ensure(directory, ["alice"])
    passwords.ensure_secret(directory / "client.secret")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_a_secret_is_random_and_kept(tmp_path):
    first = passwords.ensure_secret(tmp_path / "a")
    assert passwords.ensure_secret(tmp_path / "a") == first
    assert passwords.ensure_secret(tmp_path / "b") != first
    assert len(first) >= 32
