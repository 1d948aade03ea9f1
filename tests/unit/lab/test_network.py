from ipaddress import IPv4Network

from lab import network

# As the kernel prints it: a default route, then 192.0.2.0/24 and 172.17.0.0/16.
ROUTES = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_routes_but_the_default_one_count_as_used():
    assert network.used_networks(ROUTES) == [
        IPv4Network("192.0.2.0/24"),
        IPv4Network("172.17.0.0/16"),
    ]


def test_every_candidate_is_private():
    assert all(subnet.is_private for subnet in network.CANDIDATES)


def test_the_registry_lies_outside_what_the_engine_hands_out():
    subnet = network.CANDIDATES[0]
    address = network.registry_address(subnet)
    options = network._options(subnet)
    handed_out = IPv4Network(options[options.index("--ip-range") + 1])
    assert address == "172.31.200.10"
    assert address not in {str(host) for host in handed_out}
