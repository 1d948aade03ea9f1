from lab import guard


def test_untranslated_packets_do_not_leave_the_node():
    for table, (chain, *match) in guard.rules():
        target = match[match.index("-j") + 1]
        # REJECT exists only where packets are filtered.
        assert target == ("REJECT" if table == "filter" else "DROP")
        assert match[match.index("-o") + 1] == "eth0"
        assert chain in {"OUTPUT", "FORWARD", "POSTROUTING"}
