import csv

from lab import identities


def rows(directory):
    with (directory / "tokens.csv").open() as file:
        return {row[1]: row for row in csv.reader(file)}


def test_five_users_are_in_the_default_groups_one_administers_and_one_is_in_none(tmp_path):
    identities.create(tmp_path)
    groups = {name: row[3:] for name, row in rows(tmp_path).items()}
    assert groups == {
        "alice": ["tier-free-users"],
        "bob": ["tier-free-users"],
        "carol": ["tier-premium-users"],
        "dave": ["tier-premium-users"],
        "erin": ["tier-enterprise-users"],
        "ada": ["maas-admins"],
        "mallory": [],
    }


def test_each_file_holds_the_token_the_api_server_knows(tmp_path):
    identities.create(tmp_path)
    for name, row in rows(tmp_path).items():
        assert (tmp_path / f"{name}.token").read_text() == row[0]
        assert len(row[0]) >= 32


def test_only_the_owner_reads_them(tmp_path):
    directory = tmp_path / "identities"
    identities.create(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_tokens_are_new_each_time(tmp_path):
    identities.create(tmp_path)
    before = rows(tmp_path)
    identities.create(tmp_path)
    assert rows(tmp_path)["alice"][0] != before["alice"][0]


def test_a_missing_token_makes_them_incomplete(tmp_path):
    identities.create(tmp_path)
    assert identities.complete(tmp_path)
    (tmp_path / "bob.token").unlink()
    assert not identities.complete(tmp_path)
