"""Which token goes where."""

from __future__ import annotations

import pytest
from photo_site import LEGACY, PERSONAL, jwt

from app.label_studio.settings import Access
from app.label_studio.tokens import Credentials, Introduction, TokenError, kind_of, origin_of

HERE = "http://127.0.0.1:8080"
FAR = "https://label.example"


def credentials(url: str | None = None, key: str | None = None) -> Credentials:
    """Buys access tokens that say which one they are."""
    bought: list[str] = []

    def refresh(base: str, token: str) -> str:
        bought.append(token)
        return jwt("access", number=len(bought))

    return Credentials(Access(url=url, api_key=key), refresh)


def test_kinds() -> None:
    assert [kind_of(token) for token in (PERSONAL, jwt("access"), LEGACY, "a.b.c", "")] == [
        "personal",
        "access",
        "legacy",
        "legacy",
        "legacy",
    ]


def test_names_of_this_machine_are_one() -> None:
    assert origin_of("http://localhost:8080/x") == origin_of("http://127.0.0.1:8080") == origin_of("http://[::1]:8080/")
    assert origin_of("http://127.0.0.1:8080") != origin_of("http://127.0.0.1:8081")
    assert origin_of("https://a.example") == ("https", "a.example", 443)
    assert origin_of("https://A.example.:443") == ("https", "a.example", 443)
    assert [origin_of(url) for url in ("ftp://a", "file:///etc/passwd", "http://", "http://a:99999999")] == [None] * 4


def test_a_personal_token_is_traded_and_kept_until_it_ends() -> None:
    found = credentials(FAR, PERSONAL)
    first = found.headers(f"{FAR}/data/upload/1/a.png", None)["Authorization"]
    assert first.startswith("Bearer ey")
    assert found.headers(f"{FAR}/data/upload/1/b.png", None)["Authorization"] == first
    assert found.headers(f"{FAR}/data/upload/1/b.png", None, renew=True)["Authorization"] != first


def test_an_access_token_about_to_end_is_bought_again() -> None:
    count = 0

    def refresh(base: str, token: str) -> str:
        nonlocal count
        count += 1
        return jwt("access", lives=10, number=count)

    found = Credentials(Access(url=FAR, api_key=PERSONAL), refresh)
    assert found.headers(FAR, None) != found.headers(FAR, None)


def test_a_configured_token_goes_before_the_one_of_setup() -> None:
    told = Introduction(FAR, "0" * 40)
    assert credentials(FAR, LEGACY).headers(f"{FAR}/x", told) == {"Authorization": f"Token {LEGACY}"}
    assert credentials(FAR).headers(f"{FAR}/x", told) == {"Authorization": f"Token {'0' * 40}"}


def test_tokens_stay_with_their_host() -> None:
    """Another host, port or scheme gets nothing; nor does a Label Studio elsewhere that only says it is one."""
    told = Introduction("https://evil.example", "0" * 40)
    for found in (credentials(FAR, LEGACY), credentials(FAR)):
        for url in ("https://evil.example/x", f"{FAR}:444/x", "http://label.example/x", "ftp://label.example/x"):
            assert found.headers(url, told) == {}
    assert credentials().base(told) is None
    assert credentials().headers("https://evil.example/x", told) == {}
    # the token of setup came from another host than the configured one
    assert credentials(FAR).headers(f"{FAR}/x", told) == {}


def test_a_label_studio_on_this_machine_may_introduce_itself() -> None:
    told = Introduction("http://localhost:8080/", "0" * 40)
    assert credentials().base(told) == "http://localhost:8080"
    assert credentials().headers(f"{HERE}/data/upload/1/a.png", told) == {"Authorization": f"Token {'0' * 40}"}
    assert credentials().base(None) is None


def test_a_refused_token_is_told() -> None:
    def refuse(base: str, token: str) -> str:
        raise TokenError("no")

    with pytest.raises(TokenError):
        Credentials(Access(url=FAR, api_key=PERSONAL), refuse).headers(FAR, None)
