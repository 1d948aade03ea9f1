from hypothesis import given
from hypothesis import strategies as st

from lab import dns

COREFILE = """\
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
    }
    forward . /etc/resolv.conf
}
"""
NAMES = st.from_regex(r"[a-z]{1,8}\.test", fullmatch=True)
HOSTS = st.dictionaries(NAMES, st.ip_addresses(v=4).map(str), min_size=1, max_size=4)


def test_the_names_come_before_everything_else():
    assert dns.with_hosts(COREFILE, {"login.lab.test": "10.96.0.44"}) == COREFILE.replace(
        ".:53 {\n",
        """\
.:53 {
    hosts { # maas-lab
       10.96.0.44 login.lab.test
       fallthrough
    }
""",
    )


@given(first=HOSTS, second=HOSTS)
def test_only_the_last_names_count(first, second):
    once = dns.with_hosts(COREFILE, second)
    assert dns.with_hosts(dns.with_hosts(COREFILE, first), second) == once
    assert dns.with_hosts(once, second) == once


@given(hosts=HOSTS)
def test_hosts_of_others_stay(hosts):
    block = "    hosts {\n       10.0.0.1 a.test\n    }\n"
    own = COREFILE.replace("    errors\n", f"{block}    errors\n")
    assert f"{block}    errors\n" in dns.with_hosts(own, hosts)
