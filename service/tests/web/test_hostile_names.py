# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Names come from people and from other systems; in a page they are text and nothing else."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from maas_api.messages import Holder, PlatformBody, PolicyBody
from maas_api.models import Model
from maas_api.web.plot import draw
from maas_api.web.render import Renderer
from maas_api.web.rows import LimitRow
from maas_api.web.snippets import callable_model

from web.visitor import Page

RENDERER = Renderer()
HOSTILE = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=30),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "' onfocus='alert(1)' autofocus='",
            "{{ 7 * 7 }}",
            "{% include 'base.html' %}",
            "</title><svg onload=alert(1)>",
            "</textarea></code></pre>&lt;b&gt;",
            "javascript:alert(1)",
        ]
    ),
)


def everywhere(user: str) -> dict[str, Any]:
    return {
        "user": user,
        "is_admin": True,
        "csrf_token": "token",
        "path": "/",
        "gateway_url": "https://maas.example.test",
    }


def render(template: str, user: str, **values: Any) -> Page:
    response = RENDERER.page(template, {**everywhere(user), **values})
    return Page(bytes(response.body).decode())


def shape(page: Page) -> list[tuple[str, list[str]]]:
    """Return the elements and the names of their attributes: what names must not change."""
    return [(tag, sorted(attributes)) for tag, attributes in page.tags]


def users_page(name: str) -> Page:
    holder = Holder(name, name, "ns", name, 1, 2, int(time.time()), True, True)
    row = LimitRow("tokens", name, 100, 60, 50, 50, 10)
    return render(
        "admin_users.html",
        name,
        query=name,
        tier=name,
        tiers=[name],
        total=1,
        pages=3,
        number=2,
        problem=name,
        now=0,
        holders=[(holder, row)],
    )


def tiers_page(name: str) -> Page:
    policy = PolicyBody("AuthPolicy", name, "ns", True, True, False, f"it says {name}", "r1")
    return render(
        "admin_tiers.html",
        name,
        platform=PlatformBody(f"r-{name}", [f"because {name}"], [policy], []),
        tiers=[],
    )


def revoke_page(name: str) -> Page:
    return render(
        "revoke.html", name, owner=f"owner {name}", action="/ui/x", back=f"/ui/y?q={name}"
    )


def error_page(name: str) -> Page:
    return render("error.html", name, code=400, title=f"title {name}", message=name)


def usage_page(name: str) -> Page:
    return render(
        "admin_usage.html",
        name,
        measures=["tokens"],
        breakdowns=["user"],
        ranges=[(1, "hour")],
        measure="tokens",
        by="user",
        hours=1,
        range_name="hour",
        problem="",
        plot=draw(0, 60, [(f"series {name}", [1, 2, 3])], "tokens"),
        step_seconds=60,
    )


def token_page(name: str) -> Page:
    model = callable_model(
        Model(f"m{name}", 0, "llm", "https://maas.example.test/llm/m", True), True
    )
    return render(
        "token.html",
        name,
        token="token",
        display_name=name,
        lifetime_seconds=600,
        expires_at=0,
        curl=model.curl,
    )


PAGES = st.sampled_from([users_page, tiers_page, revoke_page, error_page, usage_page, token_page])


@given(PAGES, HOSTILE)
def test_a_name_changes_no_element_and_no_attribute(page: Any, name: str) -> None:
    assert shape(page(f"x{name}")) == shape(page("harmless"))


@given(PAGES, HOSTILE)
def test_a_name_is_shown_as_it_is(page: Any, name: str) -> None:
    shown = page(f"x{name}")
    assert " ".join(f"x{name}".split()) in shown.words
