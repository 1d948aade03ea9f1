from lab import paths
from lab.engine import firewall

NAT = f"""\
-P PREROUTING ACCEPT
-P POSTROUTING ACCEPT
-N DOCKER
-N CNI
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.31.200.0/24 ! -o {paths.bridge()} -j MASQUERADE
-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE
-A POSTROUTING -j CNI
-A DOCKER -i {paths.bridge()} -j RETURN
""".splitlines()


def test_only_the_engines_rules_and_chains_go():
    assert firewall.removals(NAT) == [
        ["-D", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER"],
        NAT[5].replace("-A", "-D", 1).split(),
        ["-F", "DOCKER"],
        ["-X", "DOCKER"],
    ]


def test_without_an_engine_there_is_nothing_to_remove():
    assert firewall.removals(["-P FORWARD ACCEPT", "-A FORWARD -j ACCEPT"]) == []


def test_where_another_engine_was_there_nothing_is_touched(monkeypatch):
    monkeypatch.setattr(firewall, "run", lambda *_, **__: 1 / 0)
    firewall.restore(firewall.Before(True, "DROP", "1"))
