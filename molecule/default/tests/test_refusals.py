# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who is refused, and with what: one exact answer for each way to be wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from accounts import User
from catalog import Catalog
from chat import Chat, completions_path
from cluster import Kubectl
from forge import forged, resigned, unsigned
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

NewUser = Callable[[str], User]
AUDIENCE = "maas-default-gateway-sa"


@pytest.fixture(scope="module")
def user(new_user: NewUser) -> User:
    return new_user("free")


@pytest.fixture(scope="module")
def other_account(kubectl: Kubectl, user: User) -> Iterator[dict[str, str]]:
    """Namespaces that are not ours, each with an account of the user's account name.

    The first one's name starts like a tier's namespace.
    """
    names = {
        "look-alike": "maas-default-gateway-tier-freeish",
        "elsewhere": "maas-test-elsewhere",
    }

    def core(kind: str, **metadata: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}

    namespaces = [core("Namespace", name=name) for name in names.values()]
    accounts = [
        core("ServiceAccount", name=user.account, namespace=name) for name in names.values()
    ]
    kubectl.apply(*namespaces, *accounts)
    yield names
    kubectl.delete(*namespaces)


class TestUnauthenticated:
    """401: nobody the platform knows."""

    def test_no_token(self, chat: Chat, model: str) -> None:
        answer = chat(None, model)
        assert answer.status == 401
        assert answer.header("www-authenticate") is not None

    @pytest.mark.parametrize("token", ["garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
    def test_garbage(self, chat: Chat, model: str, token: str) -> None:
        assert chat(token, model).status == 401

    def test_expired(self, lab: Lab, chat: Chat, model: str, user: User) -> None:
        now = int(time.time())
        past = resigned(lab, user.token, iat=now - 7200, nbf=now - 7200, exp=now - 3600)
        assert chat(past, model).status == 401

    def test_only_its_age_made_the_expired_token_bad(
        self, lab: Lab, chat: Chat, model: str, user: User
    ) -> None:
        fresh = resigned(lab, user.token, iat=int(time.time()) - 1)
        assert chat(fresh, model).status == 200

    def test_signed_by_another_key(self, chat: Chat, model: str, user: User) -> None:
        assert chat(forged(user.token), model).status == 401

    def test_signed_by_nobody(self, chat: Chat, model: str, user: User) -> None:
        assert chat(unsigned(user.token), model).status == 401

    def test_changed_after_signing(self, chat: Chat, model: str, user: User) -> None:
        head, _claims, signature = user.token.split(".")
        claims = jwt.utils.base64url_encode(b'{"sub":"system:admin"}').decode()
        assert chat(f"{head}.{claims}.{signature}", model).status == 401

    @pytest.mark.parametrize("audience", [None, "somebody-else"])
    def test_wrong_audience(
        self, kubectl: Kubectl, chat: Chat, model: str, user: User, audience: str | None
    ) -> None:
        token = kubectl.token(user.namespace, user.account, audience)
        assert chat(token, model).status == 401

    def test_login_token(self, lab: Lab, chat: Chat, model: str) -> None:
        assert chat(lab.identity("alice"), model).status == 401

    @pytest.mark.parametrize("namespace", ["default", "llm", "maas-api"])
    def test_another_pods_account(
        self, kubectl: Kubectl, chat: Chat, model: str, namespace: str
    ) -> None:
        token = kubectl.token(namespace, "default", AUDIENCE)
        assert chat(token, model).status == 401

    @pytest.mark.parametrize("where", ["look-alike", "elsewhere"])
    def test_the_same_account_name_in_another_namespace(
        self,
        kubectl: Kubectl,
        chat: Chat,
        model: str,
        user: User,
        other_account: dict[str, str],
        where: str,
    ) -> None:
        token = kubectl.token(other_account[where], user.account, AUDIENCE)
        assert chat(token, model).status == 401

    def test_a_stranger_and_garbage_look_alike(
        self, kubectl: Kubectl, chat: Chat, model: str
    ) -> None:
        stranger = kubectl.token("default", "default", AUDIENCE)
        assert chat(stranger, model).visible == chat("garbage", model).visible


class TestForbidden:
    """403: a user, but not for this."""

    def test_model_of_another_tier(self, chat: Chat, user: User, denied_model: str) -> None:
        assert chat(user, denied_model).status == 403

    def test_no_such_model(self, chat: Chat, user: User) -> None:
        assert chat(user, "llm/no-such-model").status == 403

    def test_nobody_can_tell_which(self, chat: Chat, user: User, denied_model: str) -> None:
        # Names of one length: nothing in the answer may depend on the name.
        missing = "x".join(denied_model.rsplit(denied_model[-1], 1))
        assert chat(user, denied_model).visible == chat(user, missing).visible

    def test_other_namespaces_are_no_models(self, chat: Chat, user: User) -> None:
        assert chat(user, "llm/..%2Fllm").status == 403

    def test_the_same_model_is_open_to_its_tier(
        self, chat: Chat, new_user: NewUser, denied_model: str
    ) -> None:
        assert chat(new_user("premium"), denied_model).status == 200


class TestNotFound:
    """404: nothing but /v1 of a model is there, even for those who may call it."""

    @pytest.mark.parametrize("path", ["metrics", "slots", "props", "health", "", "v2/models"])
    def test_outside_v1(self, wire: Wire, new_user: NewUser, model: str, path: str) -> None:
        answer = wire.request("GET", f"/{model}/{path}", token=new_user("premium").token)
        assert answer.status == 404

    @pytest.mark.parametrize("path", ["messages", "messages/count_tokens", "responses", "rerank"])
    def test_calls_whose_answers_do_not_say_what_they_cost(
        self, wire: Wire, new_user: NewUser, model: str, path: str
    ) -> None:
        # Their usage has no total_tokens, so no token limit would ever hold for them.
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "input": "Hi"}
        answer = wire.request(
            "POST", f"/{model}/v1/{path}", token=new_user("premium").token, body=body
        )
        assert answer.status == 404

    @pytest.mark.parametrize(
        "path", ["/metrics", "/v1", "/v1/models/x", "/v1/tokens", "/publishers/llm/x/v1/models"]
    )
    def test_outside_any_model(self, wire: Wire, user: User, path: str) -> None:
        assert wire.request("GET", path, token=user.token).status == 404

    @pytest.mark.parametrize("path", ["metrics", "slots", "props", "health"])
    def test_is_not_told_to_strangers(self, wire: Wire, model: str, path: str) -> None:
        assert wire.request("GET", f"/{model}/{path}").status == 401


# A client may send any header. None of these may change who it is, or where it gets.
SPOOFED = {
    "maas": [
        ("X-MaaS-User", "system:serviceaccount:maas-default-gateway-tier-enterprise:erin"),
        ("X-MaaS-Username", "erin"),
        ("X-MaaS-Group", "tier-enterprise-users"),
        ("X-MaaS-Tier", "enterprise"),
    ],
    "gateway": [
        ("X-Gateway-Model-Name", "gemma"),
        ("X-Gateway-Destination-Endpoint", "127.0.0.1:8000"),
        ("X-Gateway-Inference-Objective", "gemma"),
    ],
    "forwarded": [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "maas-internal"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Prefix", "/maas-api"),
        ("X-Forwarded-Uri", "/maas-api/health"),
        ("X-Forwarded-User", "erin"),
        ("X-Original-Url", "/maas-api/health"),
        ("X-Envoy-Original-Path", "/maas-api/health"),
    ],
}


@pytest.mark.parametrize("headers", SPOOFED.values(), ids=SPOOFED.keys())
class TestSpoofedHeaders:
    """Headers that proxies set are worth nothing from a client."""

    def test_without_a_token(self, chat: Chat, model: str, headers: Any) -> None:
        assert chat(None, model, headers=headers).visible == chat(None, model).visible

    def test_without_access(self, chat: Chat, user: User, denied_model: str, headers: Any) -> None:
        spoofed = chat(user, denied_model, headers=headers)
        assert spoofed.status == 403
        assert spoofed.visible == chat(user, denied_model).visible

    def test_with_access(self, chat: Chat, new_user: NewUser, model: str, headers: Any) -> None:
        assert chat(new_user("premium"), model, headers=headers).status == 200

    def test_outside_v1(self, wire: Wire, new_user: NewUser, model: str, headers: Any) -> None:
        token = new_user("premium").token
        answer = wire.request("GET", f"/{model}/metrics", token=token, headers=headers)
        assert answer.status == 404


# One path, written in ways that a server behind a careless gateway would read as that path.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "double-slash": lambda path: path.replace("/", "//"),
    "leading-slashes": lambda path: "/" + path,
    "dot": lambda path: path.replace("/v1", "/./v1"),
    "dot-dot": lambda path: path.replace("/v1", "/v1/../v1"),
    "escaped-dot-dot": lambda path: path.replace("/v1", "/v1/%2e%2e/v1"),
    "escaped-slash": lambda path: path[0] + path[1:].replace("/", "%2F"),
    "lower-case-escape": lambda path: path[0] + path[1:].replace("/", "%2f"),
    "dot-dot-escaped-slash": lambda path: path.replace("/v1", "/v1/..%2Fv1"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
class TestSpelledPaths:
    """However a path is written, its answer is the plain path's."""

    def test_without_a_token(self, chat: Chat, model: str, spell: Callable[[str], str]) -> None:
        path = spell(completions_path(model))
        assert chat(None, model, path=path).visible == chat(None, model).visible

    def test_without_access(
        self, chat: Chat, user: User, denied_model: str, spell: Callable[[str], str]
    ) -> None:
        path = spell(completions_path(denied_model))
        spelled = chat(user, denied_model, path=path)
        assert spelled.status == 403
        assert spelled.visible == chat(user, denied_model).visible

    def test_with_access(
        self, chat: Chat, new_user: NewUser, model: str, spell: Callable[[str], str]
    ) -> None:
        path = spell(completions_path(model))
        assert chat(new_user("premium"), model, path=path).status == 200


class TestPathsThatClimb:
    """A path that starts in one place and ends in another is judged by where it ends."""

    @pytest.mark.parametrize("climb", ["../", "%2e%2e/", "..%2F", "%2E%2E%2f", "./../"])
    def test_from_an_open_model_to_a_closed_one(
        self, chat: Chat, user: User, model: str, denied_model: str, climb: str
    ) -> None:
        path = f"/{model}/{climb}{denied_model.split('/')[-1]}/v1/chat/completions"
        assert chat(user, denied_model, path=path).visible == chat(user, denied_model).visible

    @pytest.mark.parametrize("climb", ["../", "%2e%2e/", "..%2F", "%2E%2E%2f", "./../"])
    def test_from_v1_to_the_servers_own_pages(
        self, wire: Wire, new_user: NewUser, model: str, climb: str
    ) -> None:
        path = f"/{model}/v1/{climb}metrics"
        answer = wire.request("GET", path, token=new_user("premium").token)
        assert answer.status == 404

    @pytest.mark.parametrize("prefix", ["/maas-api/..", "/maas-api/%2e%2e", "/maas-api/..%2F"])
    def test_from_the_open_api_to_a_model(self, chat: Chat, model: str, prefix: str) -> None:
        path = prefix + completions_path(model)
        assert chat(None, model, path=path).visible == chat(None, model).visible

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            # Letters are not equal to their capitals: another namespace, another model, no path.
            (("/llm/", "/LLM/"), 404),
            (("/gemma/", "/GEMMA/"), 403),
            (("/v1/", "/V1/"), 404),
            (("/chat/", "/Chat/"), 404),
            # Path parameters are part of the name, and a closing slash is another path.
            (("/gemma/", "/gemma;x/"), 403),
            (("/completions", "/completions;x"), 404),
            (("/completions", "/completions/"), 404),
        ],
    )
    def test_only_the_exact_letters_lead_to_a_model(
        self, chat: Chat, new_user: NewUser, change: tuple[str, str], status: int
    ) -> None:
        path = completions_path("llm/gemma").replace(*change)
        assert chat(new_user("premium"), "llm/gemma", path=path).status == status

    def test_escapes_of_escapes_lead_nowhere(self, chat: Chat, user: User, model: str) -> None:
        path = completions_path(model).replace("/v1", "%252Fv1")
        assert chat(user, model, path=path).status == 404


class TestOversized:
    """What is too large is refused before a model has to read it."""

    BODY = b'{"model": "gemma", "messages": [], "pad": "' + b"x" * (17 * 2**20) + b'"}'

    def test_body(self, wire: Wire, new_user: NewUser, model: str) -> None:
        path, token = completions_path(model), new_user("premium").token
        assert wire.request("POST", path, token=token, body=self.BODY).status == 413

    def test_body_of_a_stranger(self, wire: Wire, model: str) -> None:
        assert wire.request("POST", completions_path(model), body=self.BODY).status == 401

    def test_header(self, wire: Wire, new_user: NewUser, model: str) -> None:
        headers = [("X-Large", "x" * 70_000)]
        path, token = f"/{model}/v1/models", new_user("premium").token
        assert wire.request("GET", path, token=token, headers=headers).status == 431


def test_catalog_has_what_these_tests_need(catalog: Catalog) -> None:
    assert {"free", "premium", "enterprise"} <= catalog.tiers.keys()
    assert len(catalog.tiers["premium"].models) >= 2
