import json
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from lab import certificate, identities, login, paths
from lab.kindconfig import SERVICE_SUBNET

HASHES = {person.name: f"$2b$10${person.name}" for person in identities.PEOPLE}
ISSUED = certificate.Certificate("authority", "chain", "private key")


def rendered(client="client secret", issued=ISSUED):
    return login.objects(json.dumps(login.configuration(HASHES, client)), issued)


def find(objects, kind, name):
    return next(o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    for name in ("LOGIN_CA", "LOGIN_CERTIFICATE", "LOGIN_KEY"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    return tmp_path


def test_people_have_the_groups_that_the_api_server_gives_them():
    listed = login.configuration(HASHES, "s")["staticPasswords"]
    assert {p["preferredUsername"]: tuple(p["groups"]) for p in listed} == {
        person.name: person.groups for person in identities.PEOPLE
    }
    assert {p["email"] for p in listed} == {f"{name}@lab.test" for name in HASHES}
    assert {p["preferredUsername"]: p["hash"] for p in listed} == HASHES


def test_the_web_pages_are_its_only_client():
    (client,) = login.configuration(HASHES, "s")["staticClients"]
    assert client["id"] == "maas-web"
    assert client["secret"] == "s"
    assert "https://maas.lab.test:8443/ui/callback" in client["redirectURIs"]


def test_secrets_are_in_secrets_only():
    objects = rendered()
    others = json.dumps([o for o in objects if o["kind"] != "Secret"])
    for value in ("client secret", "private key", *HASHES.values()):
        assert value not in others
    assert "client secret" in find(objects, "Secret", "dex")["stringData"]["config.json"]


def test_its_namespace_is_made_first():
    assert rendered()[0]["kind"] == "Namespace"


@pytest.mark.parametrize(
    "changed", [{"client": "other"}, {"issued": certificate.Certificate("a", "renewed", "k")}]
)
def test_it_starts_again_when_what_it_reads_has_changed(changed):
    def template(objects):
        return find(objects, "Deployment", "dex")["spec"]["template"]

    assert template(rendered()) == template(rendered())
    assert template(rendered()) != template(rendered(**changed))


def test_its_address_is_one_that_no_other_service_gets():
    subnet = ip_network(SERVICE_SUBNET)
    address = ip_address(login.ADDRESS)
    # Kubernetes gives out the first 256 of so large a range only on request.
    assert address in list(subnet.hosts())[1:256]
    assert find(rendered(), "Service", "dex")["spec"]["clusterIP"] == login.ADDRESS


def test_its_port_is_the_same_for_browsers_and_pods():
    (port,) = find(rendered(), "Service", "dex")["spec"]["ports"]
    assert (port["port"], port["nodePort"]) == (8444, 30444)


def test_a_certificate_is_kept_while_it_is_good(lab, monkeypatch):
    first = login.ensure_certificate()
    assert login.ensure_certificate() == first
    later = certificate.now() + certificate.LIFETIME - timedelta(days=1)
    monkeypatch.setattr(certificate, "now", lambda: later)
    assert login.ensure_certificate() != first
    assert {file.stat().st_mode & 0o777 for file in lab.iterdir()} == {0o600}
