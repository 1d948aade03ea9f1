# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Every move from one list of tiers to the next, as a tier owner makes it: run after run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.maas.platform.plugins.module_utils._catalog import (
    Catalog,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._plan import (
    Doomed,
    LiveTiers,
    TierNamespace,
)
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._transitions import (
    SWITCH_SECONDS,
    fresh_plan,
    plan,
)

from tests.unit.plugins.left_behind import left_behind

T0 = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
#: max_ttl is 24 h where nobody says otherwise.
DEAD = T0 + 24 * HOUR + timedelta(seconds=SWITCH_SECONDS)


def tier(name, level=0, **keys):
    return {
        "name": name,
        "level": level,
        "groups": [f"{name}-users"],
        "models": ["*"],
        "limits": {"requests": [{"limit": level + 1, "window": "1m"}], "tokens": "unlimited"},
        **keys,
    }


def gone(name, on_removal, **keys):
    return {"name": name, "state": "absent", "on_removal": on_removal, **keys}


class Platform:
    """A cluster, as far as plans read it; each run sees what the last one left."""

    def __init__(self, *entries):
        self.live = LiveTiers()
        self.plan = self.run(*entries)

    def run(self, *entries, hours=0):
        inventory = parse_inventory(list(entries), [])
        now = T0 + hours * HOUR
        done = plan(inventory, self.live, now)
        self.live = left_behind(done)
        assert plan(inventory, self.live, now) == _settled(done)
        self.plan = done
        return done

    def refused(self, *entries, hours=0):
        with pytest.raises(MaasError) as caught:
            self.run(*entries, hours=hours)
        return caught.value.problems

    @property
    def owners(self):
        return {
            namespace.removeprefix("maas-default-gateway-tier-"): owner
            for namespace, owner in self.plan.owners.items()
        }

    @property
    def deadlines(self):
        return {former.name: former.until for former in self.plan.former}


def _settled(done):
    """Return what a second run plans: the same, with nothing to delete or to say again."""
    kept = tuple(warning for warning in done.warnings if "is back" not in warning)
    return replace(done, doomed=(), warnings=kept)


def _doomed(name, reason):
    return Doomed(f"maas-default-gateway-tier-{name}", name, reason)


def test_nothing_on_the_cluster_is_simple():
    done = Platform(tier("free"), tier("premium", 1)).plan
    assert done == fresh_plan(parse_inventory([tier("free"), tier("premium", 1)], []))
    assert [holding.state for holding in done.holdings] == ["present", "present"]
    assert done.former == done.doomed == done.warnings == ()


def test_a_renamed_tier_keeps_the_old_namespace_until_the_tokens_are_dead():
    platform = Platform(tier("free"), tier("premium", 1))
    entries = [tier("free"), tier("pro", 1, renamed_from=["premium"])]
    done = platform.run(*entries)
    assert platform.owners == {"free": "free", "pro": "pro", "premium": "pro"}
    (former,) = done.former
    assert (former.name, former.tier, former.state) == ("premium", "pro", "renamed")
    assert former.until == DEAD
    assert (former.entry, former.groups) == (None, ())
    # It stays decided, whatever the time; after the deadline it is pruned, and then forgotten.
    assert platform.run(*entries, hours=5).former == done.former
    assert platform.run(*entries, hours=25).doomed == (_doomed("premium", "expired"),)
    assert platform.owners == {"free": "free", "pro": "pro"}
    assert platform.run(*entries, hours=26).doomed == ()


def test_a_rename_goes_on_when_the_entry_forgets_the_old_name():
    platform = Platform(tier("premium"))
    platform.run(tier("pro", renamed_from=["premium"]))
    platform.run(tier("pro"), hours=1)
    assert platform.owners == {"pro": "pro", "premium": "pro"}
    assert platform.deadlines == {"premium": DEAD}


def test_renames_follow_each_other():
    platform = Platform(tier("a"))
    platform.run(tier("b", renamed_from=["a"]))
    platform.run(tier("c", renamed_from=["b"]), hours=1)
    assert platform.owners == {"c": "c", "a": "c", "b": "c"}
    assert platform.deadlines == {"a": DEAD, "b": DEAD + HOUR}
    platform.run(tier("c"), hours=24.5)
    assert platform.owners == {"c": "c", "b": "c"}


def test_a_rename_can_be_taken_back():
    platform = Platform(tier("a"))
    platform.run(tier("b", renamed_from=["a"]))
    done = platform.run(tier("a", renamed_from=["b"]), hours=1)
    assert platform.owners == {"a": "a", "b": "a"}
    assert done.holdings[0].until is None
    assert "is back" in done.warnings[0]


def test_two_tiers_become_one():
    platform = Platform(tier("a"), tier("b", 1))
    platform.run(tier("c", renamed_from=["a", "b"]))
    assert platform.owners == {"c": "c", "a": "c", "b": "c"}


def test_an_old_name_is_taken_until_its_namespace_is_gone():
    platform = Platform(tier("premium"))
    platform.run(tier("pro", renamed_from=["premium"]))
    entries = [tier("pro"), tier("premium", 1)]
    (problem,) = platform.refused(*entries, hours=1)
    assert problem.startswith(
        'maas_tiers[1].name: value "premium", allowed: another name until 2026-11-24T08:05:00Z'
    )
    platform.run(tier("pro"), hours=25)
    platform.run(*entries, hours=26)
    assert platform.owners == {"pro": "pro", "premium": "premium"}


def test_tokens_made_before_max_ttl_was_lowered_count_in_a_rename():
    long, short = {"max_ttl": "72h"}, {"max_ttl": "1h"}
    platform = Platform(tier("a", token=long))
    platform.run(tier("a", token=short))
    assert platform.run(tier("a", token=short), hours=1).holdings[0].max_ttl_seconds == 3600
    platform.run(tier("b", renamed_from=["a"], token=short), hours=2)
    assert platform.deadlines == {"a": T0 + 72 * HOUR + timedelta(seconds=SWITCH_SECONDS)}


def test_tokens_that_are_dead_by_now_count_no_more():
    platform = Platform(tier("a", token={"max_ttl": "2h"}))
    short = {"max_ttl": "1h"}
    assert platform.run(tier("a", token=short)).holdings[0].older_tokens_until is not None
    assert platform.run(tier("a", token=short), hours=3).holdings[0].older_tokens_until is None


def test_migrated_accounts_act_as_the_other_tier_and_its_groups_grow():
    platform = Platform(tier("free"), tier("trial", 1))
    entries = [tier("free"), gone("trial", {"migrate_to": "free"})]
    done = platform.run(*entries)
    assert platform.owners == {"free": "free", "trial": "free"}
    assert platform.deadlines == {"trial": DEAD}
    assert done.tiers[0].groups == ("free-users", "trial-users")
    (warning,) = done.warnings
    assert warning.startswith("trial-users: group(s) of tier free only until 2026-11-24T08:05:00Z")
    done = platform.run(*entries, hours=25)
    assert done.doomed == (_doomed("trial", "expired"),)
    assert done.tiers[0].groups == ("free-users",)
    assert done.warnings == ()


def test_groups_that_the_entry_writes_count_as_long_as_its_tokens():
    platform = Platform(tier("free"), tier("trial", 1))
    entries = [tier("free"), gone("trial", {"migrate_to": "free"}, groups=["early", "free-users"])]
    done = platform.run(*entries)
    assert done.tiers[0].groups == ("free-users", "early")
    (warning,) = done.warnings
    assert warning.startswith("early: group(s) of tier free only until 2026-11-24T08:05:00Z")
    for hours in (25, 26):
        done = platform.run(*entries, hours=hours)
        assert done.tiers[0].groups == ("free-users",)
        assert done.warnings == ()


def test_the_entry_of_a_tier_that_never_was_gives_nobody_a_group():
    entry = gone("never", {"migrate_to": "free"}, groups=["ops"])
    done = Platform(tier("free")).run(tier("free"), entry)
    assert done.tiers[0].groups == ("free-users",)
    assert done == Platform(tier("free")).run(tier("free"))


def test_a_migration_goes_on_when_the_entry_is_forgotten():
    platform = Platform(tier("free"), tier("trial", 1))
    platform.run(tier("free"), gone("trial", {"migrate_to": "free"}))
    done = platform.run(tier("free"), hours=1)
    assert platform.owners == {"free": "free", "trial": "free"}
    assert done.tiers[0].groups == ("free-users", "trial-users")


def test_migrated_accounts_follow_a_rename_and_another_migration():
    platform = Platform(tier("free"), tier("trial", 1), tier("basic", 2))
    platform.run(tier("free"), tier("basic", 2), gone("trial", {"migrate_to": "free"}))
    done = platform.run(tier("gratis", renamed_from=["free"]), tier("basic", 2), hours=1)
    assert platform.owners == {
        "gratis": "gratis",
        "basic": "basic",
        "free": "gratis",
        "trial": "gratis",
    }
    assert [former.state for former in done.former] == ["renamed", "migrated"]
    assert done.tiers[0].groups == ("gratis-users", "trial-users")
    done = platform.run(tier("basic", 2), gone("gratis", {"migrate_to": "basic"}), hours=2)
    assert set(platform.owners.values()) == {"basic"}
    assert set(done.tiers[0].groups) == {"basic-users", "gratis-users", "trial-users"}
    assert platform.deadlines == {
        "trial": DEAD,
        "free": DEAD + HOUR,
        "gratis": DEAD + 2 * HOUR,
    }


def test_a_migration_to_where_a_tier_was_called_so_is_refused_with_its_new_name():
    platform = Platform(tier("free"), tier("trial", 1))
    (problem,) = platform.refused(
        tier("gratis", renamed_from=["free"]), gone("trial", {"migrate_to": "free"})
    )
    assert problem.endswith("(it is called gratis now)")


def test_draining_accounts_keep_rights_and_limits_until_the_deadline():
    platform = Platform(tier("free"), tier("trial", 1))
    entries = [tier("free"), gone("trial", {"drain": "6h"})]
    done = platform.run(*entries)
    assert platform.owners == {"free": "free", "trial": "trial"}
    assert platform.deadlines == {"trial": T0 + 6 * HOUR}
    (former,) = done.former
    assert former.entry == done.draining[0]
    assert (former.entry.level, former.entry.groups) == (1, ("trial-users",))
    assert [tier.groups for tier in done.tiers] == [("free-users",)]
    assert platform.run(*entries, hours=5).former == done.former
    assert platform.run(*entries, hours=6).doomed == (_doomed("trial", "expired"),)
    assert platform.run(*entries, hours=7).doomed == ()


def test_a_drain_goes_on_when_the_entry_is_forgotten():
    platform = Platform(tier("free"), tier("trial", 1))
    platform.run(tier("free"), gone("trial", {"drain": "6h"}))
    platform.run(tier("free"), hours=1)
    assert platform.deadlines == {"trial": T0 + 6 * HOUR}


def test_a_longer_drain_in_the_entry_moves_no_deadline():
    platform = Platform(tier("free"), tier("trial", 1))
    platform.run(tier("free"), gone("trial", {"drain": "6h"}))
    platform.run(tier("free"), gone("trial", {"drain": "60h"}), hours=1)
    assert platform.deadlines == {"trial": T0 + 6 * HOUR}


def test_a_removal_can_be_taken_back():
    platform = Platform(tier("free"), tier("trial", 1))
    for on_removal in ({"drain": "6h"}, {"migrate_to": "free"}):
        platform.run(tier("free"), gone("trial", on_removal))
        done = platform.run(tier("free"), tier("trial", 1), hours=1)
        assert platform.owners == {"free": "free", "trial": "trial"}
        assert done.former == ()
        assert "tier trial was on its way out" in done.warnings[0]


def test_a_draining_tier_may_be_renamed_or_migrated_instead():
    for entries, state in (
        ([tier("free"), gone("trial", {"migrate_to": "free"})], "migrated"),
        ([tier("free", renamed_from=["trial"])], "renamed"),
    ):
        platform = Platform(tier("free"), tier("trial", 1))
        platform.run(tier("free"), gone("trial", {"drain": "6h"}))
        done = platform.run(*entries, hours=1)
        assert platform.owners == {"free": "free", "trial": "free"}
        assert [former.state for former in done.former] == [state]
        assert platform.deadlines == {"trial": DEAD + HOUR}
        assert done.draining == ()


def test_accounts_that_followed_a_tier_drain_with_it_and_not_longer():
    platform = Platform(tier("free"), tier("a", 1))
    platform.run(tier("free"), tier("b", 1, renamed_from=["a"]))
    done = platform.run(tier("free"), gone("b", {"drain": "6h"}), hours=1)
    assert platform.owners == {"free": "free", "a": "b", "b": "b"}
    assert platform.deadlines == {"a": T0 + 7 * HOUR, "b": T0 + 7 * HOUR}
    assert [tier.name for tier in done.draining] == ["b"]
    assert platform.run(tier("free"), hours=7).doomed == (
        _doomed("a", "expired"),
        _doomed("b", "expired"),
    )


def test_rights_stay_known_when_the_draining_tier_s_own_namespace_is_deleted_by_hand():
    platform = Platform(tier("free"), tier("a", 1))
    platform.run(tier("free"), tier("b", 1, renamed_from=["a"]))
    entries = [tier("free"), gone("b", {"drain": "6h"})]
    platform.run(*entries, hours=1)
    kept = tuple(item for item in platform.live.namespaces if not item.name.endswith("-b"))
    platform.live = LiveTiers(platform.live.catalog, kept)
    platform.run(*entries, hours=2)
    assert platform.owners == {"free": "free", "a": "b"}
    assert platform.deadlines == {"a": T0 + 7 * HOUR}


def test_blocked_accounts_go_at_once_with_all_that_followed():
    platform = Platform(tier("free"), tier("a", 1))
    platform.run(tier("free"), tier("b", 1, renamed_from=["a"]))
    done = platform.run(tier("free"), gone("b", "block"))
    assert platform.owners == {"free": "free"}
    assert done.doomed == (_doomed("a", "blocked"), _doomed("b", "blocked"))


def test_a_transition_may_be_cut_short():
    platform = Platform(tier("free"), tier("trial", 1))
    platform.run(tier("free"), gone("trial", {"drain": "600h"}))
    assert platform.run(tier("free"), gone("trial", "block")).doomed == (
        _doomed("trial", "blocked"),
    )


def test_a_tier_that_never_was_may_be_removed_and_renamed():
    done = Platform(
        tier("free", renamed_from=["gratis"]),
        gone("trial", {"drain": "1h"}),
        gone("old", "block"),
        gone("older", {"migrate_to": "free"}),
    ).plan
    assert list(done.owners.values()) == ["free"]
    assert done.former == done.doomed == done.warnings == ()


def test_a_tier_that_vanished_from_the_list_may_go_only_while_it_is_empty():
    platform = Platform(tier("free"), tier("trial", 1))
    assert platform.run(tier("free")).doomed == (_doomed("trial", "vanished"),)


def test_accounts_that_followed_a_tier_that_vanished_are_not_forgotten():
    platform = Platform(tier("free"), tier("a", 1))
    platform.run(tier("free"), tier("b", 1, renamed_from=["a"]))
    assert platform.run(tier("free")).doomed == (
        _doomed("a", "vanished"),
        _doomed("b", "vanished"),
    )


def test_namespaces_of_others_are_left_alone():
    live = LiveTiers(None, (TierNamespace("somebody-s", "free"),))
    assert plan(parse_inventory([tier("free")], []), live, T0).doomed == ()


def test_an_interrupted_run_decides_nothing():
    """Its annotations are on a namespace, and the catalog still says what is in force."""
    platform = Platform(tier("a"), tier("b", 1))
    before = platform.live
    platform.run(tier("b", 1), gone("a", {"drain": "1h"}))
    platform.live = LiveTiers(before.catalog, platform.live.namespaces)
    done = platform.run(tier("b", 1), gone("a", {"drain": "1h"}), hours=48)
    assert done.doomed == ()
    assert platform.deadlines == {"a": T0 + 49 * HOUR}
    platform.live = LiveTiers(before.catalog, platform.live.namespaces)
    assert platform.run(tier("a"), tier("b", 1)).holdings[0].until is None
    assert platform.owners == {"a": "a", "b": "b"}


def test_without_a_catalog_the_namespaces_say_what_was_decided():
    platform = Platform(tier("a"))
    platform.run(tier("b", renamed_from=["a"]))
    platform.live = LiveTiers(None, platform.live.namespaces)
    platform.run(tier("b"), hours=1)
    assert platform.owners == {"b": "b", "a": "b"}
    assert platform.deadlines == {"a": DEAD}


def test_what_somebody_took_out_of_the_catalog_is_put_back():
    platform = Platform(tier("a"))
    platform.run(tier("b", renamed_from=["a"]))
    catalog = platform.live.catalog
    platform.live = LiveTiers(replace(catalog, former=()), platform.live.namespaces)
    platform.run(tier("b"), hours=1)
    assert platform.owners == {"b": "b", "a": "b"}
    assert platform.deadlines == {"a": DEAD}


def test_without_a_catalog_nobody_knows_the_rights_of_a_draining_tier():
    platform = Platform(tier("a"), tier("b", 1))
    platform.live = LiveTiers(None, platform.live.namespaces)
    (problem,) = platform.refused(tier("b", 1), gone("a", {"drain": "1h"}))
    assert problem.startswith('maas_tiers[1].on_removal: value "drain", allowed: {migrate_to:')


def test_a_catalog_of_the_first_release_is_taken_on():
    platform = Platform(tier("a", token={"max_ttl": "10h"}))
    bare = tuple(TierNamespace(item.name, item.tier) for item in platform.live.namespaces)
    platform.live = LiveTiers(platform.live.catalog, bare)
    platform.run(tier("b", renamed_from=["a"]))
    assert platform.deadlines == {"a": T0 + 10 * HOUR + timedelta(seconds=SWITCH_SECONDS)}


def test_an_annotation_that_somebody_broke_is_named():
    item = {
        "metadata": {
            "name": "maas-default-gateway-tier-a",
            "annotations": {"maas.platform/until": "soon"},
        }
    }
    with pytest.raises(MaasError, match=r"maas-default-gateway-tier-a cannot be read: \"soon\""):
        TierNamespace.of(item)


def test_what_drains_is_in_the_catalog_with_all_it_may():
    platform = Platform(tier("free"), tier("trial", 1))
    catalog = platform.run(tier("free"), gone("trial", {"drain": "6h"})).catalog
    assert isinstance(catalog, Catalog)
    assert [tier.name for tier in catalog.known] == ["free", "trial"]
    assert catalog.rights("maas-default-gateway-tier-trial").level == 1
    assert catalog.until("maas-default-gateway-tier-trial") == T0 + 6 * HOUR
    assert catalog.until("maas-default-gateway-tier-free") is None
    assert catalog.rights("kube-system") is None
