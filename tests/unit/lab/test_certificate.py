from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lab import certificate

NOW = datetime(2030, 1, 2, tzinfo=UTC)
HOST = "login.lab.test"


def verify(chain, authority, host, when=NOW):
    trusted = Store([x509.load_pem_x509_certificate(authority.encode())])
    verifier = PolicyBuilder().store(trusted).time(when).build_server_verifier(x509.DNSName(host))
    return verifier.verify(x509.load_pem_x509_certificate(chain.encode()), [])


def test_whoever_trusts_the_authority_trusts_the_server():
    issued = certificate.issue(HOST, NOW)
    assert verify(issued.chain, issued.authority, HOST)


def test_it_is_good_for_no_other_host_and_under_no_other_authority():
    issued = certificate.issue(HOST, NOW)
    with pytest.raises(VerificationError):
        verify(issued.chain, issued.authority, "maas.lab.test")
    with pytest.raises(VerificationError):
        verify(issued.chain, certificate.issue(HOST, NOW).authority, HOST)


def test_the_key_is_the_servers():
    issued = certificate.issue(HOST, NOW)
    key = serialization.load_pem_private_key(issued.key.encode(), None)
    assert key.public_key() == x509.load_pem_x509_certificate(issued.chain.encode()).public_key()


@pytest.mark.parametrize(
    ("age", "host", "good"),
    [
        (timedelta(0), HOST, True),
        (certificate.LIFETIME - certificate.RENEWAL - timedelta(hours=1), HOST, True),
        (certificate.LIFETIME - certificate.RENEWAL, HOST, False),
        (timedelta(0), "maas.lab.test", False),
    ],
)
def test_it_is_renewed_in_time(age, host, good):
    assert certificate.is_good(certificate.issue(HOST, NOW).chain, host, NOW + age) is good


def test_what_is_no_certificate_is_not_good():
    assert not certificate.is_good("", HOST, NOW)
