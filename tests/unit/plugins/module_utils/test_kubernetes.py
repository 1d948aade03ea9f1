# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import (
    AUTH_ARGS,
    CONCURRENCY,
    ApiError,
    Cluster,
    write_yaml_body,
)
from ansible_collections.maas.platform.plugins.module_utils._manifests import manifest
from ansible_collections.maas.platform.plugins.module_utils._objects import (
    differ,
    path_of,
)
from hypothesis import given
from hypothesis import strategies as st


def _config_map(name="one", namespace="maas-gateway", **data):
    return manifest("v1", "ConfigMap", name, namespace, part="catalog", data=data)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("v1", "Namespace", "", "a"), "/api/v1/namespaces/a"),
        (("v1", "ConfigMap", "ns", "a"), "/api/v1/namespaces/ns/configmaps/a"),
        (("v1", "ConfigMap"), "/api/v1/configmaps"),
        (("v1", "Pod", "ns", "a:8080", "proxy"), "/api/v1/namespaces/ns/pods/a:8080/proxy"),
        (
            ("kuadrant.io/v1", "AuthPolicy", "ns", "a/../b"),
            "/apis/kuadrant.io/v1/namespaces/ns/authpolicies/a%2F..%2Fb",
        ),
    ],
)
def test_objects_have_paths(arguments, path):
    assert path_of(*arguments) == path


def test_only_known_kinds_have_paths():
    with pytest.raises(MaasError, match="no kind that this collection knows"):
        path_of("v1", "Secret", "ns", "a")


def test_what_the_server_adds_is_no_difference():
    one = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "1"}, "status": {"x": 1}}
    other = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}, "status": {"x": 2}}
    assert not differ(one, other)
    assert differ(one, {"metadata": {"name": "a"}, "data": {}})
    assert differ(None, one)


def test_an_object_is_created_changed_and_left_alone(api):
    cluster = api.cluster()
    created = cluster.apply(_config_map(a="1"))
    assert created.action == "created"
    live = {created.key: cluster.find(created.key)}
    (same,) = cluster.apply_all([_config_map(a="1")], live)
    assert same.action == "unchanged"
    assert not same.changed
    (other,) = cluster.apply_all([_config_map(a="2")], live)
    assert other.action == "updated"
    assert cluster.find(created.key)["data"] == {"a": "2"}


def test_a_dry_run_changes_nothing_and_says_what_would(api):
    cluster = api.cluster()
    (change,) = cluster.apply_all([_config_map(a="1")], dry_run=True)
    assert change.action == "created"
    assert cluster.find(change.key) is None
    cluster.apply(_config_map(a="1"))
    (same,) = cluster.apply_all([_config_map(a="1")], dry_run=True)
    (other,) = cluster.apply_all([_config_map(a="2")], dry_run=True)
    assert (same.action, other.action) == ("unchanged", "updated")
    assert cluster.find(change.key)["data"] == {"a": "1"}


def test_a_dry_run_knows_that_namespaces_and_kinds_come_later(api):
    api.missing_groups.add("kuadrant.io")
    policy = manifest("kuadrant.io/v1", "AuthPolicy", "p", "maas-gateway", spec={})
    changes = api.cluster().apply_all([_config_map(namespace="later"), policy], dry_run=True)
    assert [change.action for change in changes] == ["created", "created"]


def test_a_missing_kind_is_said_in_a_real_run(api):
    api.missing_groups.add("kuadrant.io")
    policy = manifest("kuadrant.io/v1", "AuthPolicy", "p", "maas-gateway", spec={})
    with pytest.raises(
        MaasError, match=r"authpolicies/p was refused with 404: .* install what brings it"
    ):
        api.cluster().apply(policy)


def test_a_missing_namespace_is_said_in_a_real_run(api):
    with pytest.raises(ApiError, match="no namespace"):
        api.cluster().apply(_config_map(namespace="nowhere"))


def test_all_pages_are_read(api):
    for number in range(7):
        api.cluster().apply(_config_map(f"c{number}"))
    found = api.cluster().select("v1", "ConfigMap", "", "maas.platform/part=catalog")
    assert [item["metadata"]["name"] for item in found] == [f"c{n}" for n in range(7)]
    assert {item["kind"] for item in found} == {"ConfigMap"}


def test_a_kind_nobody_installed_has_no_objects(api):
    api.missing_groups.add("kuadrant.io")
    assert api.cluster().select("kuadrant.io/v1", "AuthPolicy") == []


def test_only_the_object_that_was_read_is_deleted(api):
    cluster = api.cluster()
    key = cluster.apply(_config_map(a="1")).key
    old = cluster.find(key)
    cluster.delete(old, dry_run=True)
    assert cluster.find(key) is not None
    api.objects[path_of("v1", "ConfigMap", "maas-gateway", "one")]["metadata"]["uid"] = "other"
    cluster.delete(old)
    assert cluster.find(key) is not None
    cluster.delete(cluster.find(key))
    assert cluster.find(key) is None
    assert cluster.delete(old).action == "deleted"


def test_a_busy_server_is_asked_again(api):
    api.busy = 2
    assert api.cluster().version() == "v1.34.4"
    assert api.slept == 1.5


def test_a_server_that_stays_busy_is_an_error(api):
    api.busy = 100
    with pytest.raises(ApiError, match="refused with 503: not now"):
        api.cluster().version()


def test_a_creation_is_never_repeated(api):
    api.busy = 1
    with pytest.raises(ApiError):
        api.cluster().create(_config_map())
    assert [method for method, _path in api.log] == ["POST"]


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "log in again"), (403, "give this user that permission")]
)
def test_refusals_say_what_to_do(status, advice):
    def refuse(*_request):
        return status, {"reason": "No", "message": "you may not"}

    with pytest.raises(ApiError, match=f"GET /version was refused with {status}: you may not"):
        Cluster(refuse).version()
    with pytest.raises(ApiError, match=advice):
        Cluster(refuse).version()


def test_a_review_says_what_the_caller_may_do(api):
    cluster = api.cluster()
    api.denied.add(("create", "pods"))
    assert cluster.may("get", "", "pods/proxy", "maas-api")
    assert not cluster.may("create", "", "pods")


def test_waiting_ends_or_says_what_is_missing(api):
    cluster = api.cluster()
    answers = iter(["one", "two", ""])
    cluster.wait("it is not there", lambda: next(answers), 10)
    assert api.slept == 1.0
    with pytest.raises(MaasError, match=r"it is not there: not after 3 s: still one"):
        cluster.wait("it is not there", lambda: "still one", 3)


def test_work_is_done_together_but_not_all_at_once(api):
    inside = threading.Semaphore(CONCURRENCY)

    def work(number):
        assert inside.acquire(blocking=False)
        try:
            return number * 2
        finally:
            inside.release()

    assert api.cluster().each(work, range(50)) == [number * 2 for number in range(50)]


def test_the_first_failure_stops_the_rest(api):
    def work(number):
        if number == 3:
            raise MaasError("three")

    with pytest.raises(MaasError, match="three"):
        api.cluster().each(work, range(100))


_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: one, user: {token: secret-token}}]
"""


@pytest.fixture
def plain_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("K8S_AUTH_") or name == "KUBECONFIG":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "kubeconfig"
    path.write_text(_KUBECONFIG)
    return path


def test_the_connection_is_the_one_kubernetes_core_would_make(plain_environment, monkeypatch):
    cluster = Cluster.connect({"kubeconfig": str(plain_environment), "context": "here"})
    assert cluster.server == "https://127.0.0.1:1"
    monkeypatch.setenv("K8S_AUTH_HOST", "https://127.0.0.1:2/")
    monkeypatch.setenv("K8S_AUTH_API_KEY", "secret-token")
    assert Cluster.connect({}).server == "https://127.0.0.1:2"


def test_a_cluster_that_cannot_be_reached_is_named_without_its_secrets(plain_environment):
    cluster = Cluster.connect({"kubeconfig": str(plain_environment), "context": "here"})
    with pytest.raises(MaasError) as caught:
        cluster.version()
    message = str(caught.value)
    assert "https://127.0.0.1:1" in message
    assert "context here" in message
    assert "cannot be reached: Failed to establish a new connection: [Errno 111]" in message
    assert "secret-token" not in message


@pytest.mark.parametrize("options", [{"kubeconfig": "/nowhere"}, {"context": "there"}, {}])
def test_no_connection_says_where_it_was_looked_for(plain_environment, options):
    with pytest.raises(MaasError, match="no connection to a cluster can be made from"):
        Cluster.connect(options)


def test_the_connection_options_are_kubernetes_core_s():
    assert {"kubeconfig", "context", "host", "api_key", "validate_certs"} <= set(AUTH_ARGS)
    for name in ("kubeconfig", "api_key", "password"):
        assert AUTH_ARGS[name]["no_log"] is True


@given(
    name=st.text(min_size=1).filter(str.isprintable) | st.sampled_from(["🦄", "ä", "\u2028\x7f"])
)
def test_names_in_any_script_reach_the_api_servers_yaml_parser(name):
    manifest = {"metadata": {"name": name}, "spec": [name, 1, None, True]}
    text = write_yaml_body(manifest).decode("utf-8")
    # A YAML parser knows no surrogates: what JSON escapes in two halves must stand as it is.
    assert yaml.safe_load(text) == manifest
    assert re.search(r"(?<!\\)\\ud[89a-f]", text) is None


def test_what_is_applied_is_sent_as_yaml(plain_environment):
    received = {}

    class Server(BaseHTTPRequestHandler):
        # A caller that connects and says nothing must not keep the test.
        timeout = 10

        def do_PATCH(self):
            received["type"] = self.headers["Content-Type"]
            received["body"] = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(received["body"].encode())

        def log_message(self, *_args):
            """Keep quiet."""

    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "one", "annotations": {"a": "🦄"}},
    }
    server = HTTPServer(("127.0.0.1", 0), Server)
    server.timeout = 10
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    try:
        host = f"http://127.0.0.1:{server.server_address[1]}"
        kubeconfig = plain_environment.read_text().replace("https://127.0.0.1:1", host)
        plain_environment.write_text(kubeconfig)
        change = Cluster.connect({"kubeconfig": str(plain_environment)}).apply(manifest)
    finally:
        thread.join()
        server.server_close()
    assert change.after == manifest
    assert received["type"].startswith("application/apply-patch+yaml")
    assert "🦄" in received["body"]
