from lab import supply
from lab.source import Source


def test_coredns_is_named_as_kubeadm_completes_it():
    repository, tag = supply.dns_image(Source.PACKAGES)
    assert f"{repository}/coredns:{tag}" == supply.reference("coredns")
    assert supply.dns_image(Source.UPSTREAM) is None


def test_upstream_builds_only_what_nobody_publishes():
    assert set(supply.built(Source.UPSTREAM)) < set(supply.built(Source.PACKAGES))
    assert "maas-api" in supply.built(Source.UPSTREAM)
    assert not set(supply.built(Source.UPSTREAM)) & {"envoy", "limitador", "wasm-shim"}


def test_a_plan_covers_all_that_up_uses():
    names = {planned.name for planned in supply.plan(None, Source.PACKAGES)}
    assert {"node", "registry", *supply.TOOL_RECIPES, *supply.built(Source.PACKAGES)} <= names
