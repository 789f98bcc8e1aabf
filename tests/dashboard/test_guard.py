"""Who may look, what may be asked, and where a proxy may have the site."""

from __future__ import annotations

import re

import pytest

from dashboard.guard import inner_path, prefix_of
from dashboard.login import Login
from tests.dashboard.home import Home
from tests.report.example import Page

TOKEN = "a-token-of-some-length"
BROWSER = {"accept": "text/html,*/*"}
ADDRESSES = ["/", "/api/v1/now", "/api/v1/openapi.json", "/metrics", "/feed.atom", "/static/dashboard.css", "/nothing"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_token_nothing_is_shown(told: Home, address: str) -> None:
    with told.looking(TOKEN, read=False) as client:
        for headers in ({}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": "Bearer"}, {"cookie": "ulmfit_dashboard=1.2"}):
            answer = client.get(address, headers=headers)
            assert answer.status_code == 401
            assert "tickets" not in answer.text
        assert client.get(address, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)


def test_health_needs_no_token(told: Home) -> None:
    with told.looking(TOKEN, read=False) as client:
        assert client.get("/healthz").text == "ready\n"


def test_a_browser_gets_a_form_and_then_a_cookie(told: Home) -> None:
    with told.looking(TOKEN, read=False) as client:
        form = client.get("/", headers=BROWSER)
        assert form.status_code == 401 and ("form", "/login") in Page(form.text).targets
        wrong = client.post("/login", data={"token": "wrong"})
        assert wrong.status_code == 401 and "not the token" in wrong.text and "set-cookie" not in wrong.headers
        right = client.post("/login", data={"token": TOKEN})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        cookie = right.headers["set-cookie"]
        assert TOKEN not in cookie and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert "tickets" in client.get("/", headers=BROWSER).text
        assert client.post("/login", content=b"token=" + b"x" * 9000).status_code == 401


def test_a_cookie_ends_with_its_time_and_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login(TOKEN)
    headers = {"cookie": login.cookie("/", False).partition(";")[0]}
    assert login.knows(headers)
    assert not Login(TOKEN + "2").knows(headers)
    monkeypatch.setattr("dashboard.login.time.time", lambda: 4e9)
    assert not login.knows(headers)


def test_it_is_to_look_at(told: Home) -> None:
    with told.looking(read=False) as client:
        assert client.head("/").status_code == client.head("/metrics").status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert client.request(method, "/").status_code == 405
        assert client.post("/login", data={"token": TOKEN}).status_code == 405


@pytest.mark.parametrize("address", ["/", "/nothing", "/static/htmx.min.js", "/api/v1/now"])
def test_the_browser_is_told_to_load_and_run_what_is_ours_alone(told: Home, address: str) -> None:
    with told.looking(read=False) as client:
        headers = client.get(address).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"] and "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("page", ["/", "/models", "/model?name=tickets", "/runs", "/compare", "/cost", "/nothing"])
def test_below_a_path_all_links_stay_below_it(told: Home, page: str) -> None:
    with told.looking(read=False) as client:
        for prefix in ("/team/ulmfit", "/team/ulmfit/"):
            _check_links(client.get(page, headers={"x-forwarded-prefix": prefix}).text)
    with told.looking(root_path="/team/ulmfit", read=False) as client:
        for address in (page, f"/team/ulmfit{page}"):  # the proxy may take the path away, or leave it
            _check_links(client.get(address).text)
        assert client.get("/team/ulmfit").status_code == 200


def _check_links(page: str) -> None:
    targets = [target for _, target in Page(page).targets if not target.startswith("#")]
    targets += re.findall(r'(?:hx-get|data-charts)="([^"]+)"', page)
    assert targets and all(target.startswith("/team/ulmfit/") for target in targets)


@pytest.mark.parametrize("said", ["//evil.example", "/a//b", "https://evil.example", '/"><script>', "/a b", "evil"])
def test_a_prefix_that_is_no_plain_path_is_not_used(said: str) -> None:
    assert prefix_of({"x-forwarded-prefix": said}, "/own") == "/own"


def test_paths_with_and_without_the_prefix() -> None:
    assert [inner_path(path, "/p") for path in ("/p/runs", "/runs", "/p", "/p/", "/pruns")] == ["/runs", "/runs", "/", "/", "/pruns"]


def test_the_cookie_is_for_https_where_the_proxy_speaks_it(told: Home) -> None:
    with told.looking(TOKEN, root_path="/p", read=False) as client:
        answer = client.post("/p/login", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"})
    assert "Secure" in answer.headers["set-cookie"] and "Path=/p" in answer.headers["set-cookie"]
    assert answer.headers["location"] == "/p/"
