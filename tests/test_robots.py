"""robots.txt: cases from RFC 9309 and from Google's documentation of it, which RFC 9309 follows."""

import pytest

from webfarer.web.crawl.robots import MOST_BYTES, product, read_rules, robots_url
from webfarer.web.http.exchange import Exchange

HOST = "https://site.example"


def rules(text, agent="webfarer/0.1", status=200):
    body = text.encode() if isinstance(text, str) else text
    return read_rules(Exchange(f"{HOST}/robots.txt", status, body=body), agent)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        # RFC 9309, section 5.2: the longest match
        ("/example/page/", True),
        ("/example/page/disallowed.gif", False),
        ("/example/other", True),
    ],
)
def test_the_longest_match_decides(path, allowed):
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert rules(text, "foobot").allows(HOST + path) is allowed


@pytest.mark.parametrize(
    ("rule", "path", "allowed"),
    [
        # RFC 9309, section 2.2.3, and the tables of Google's "URL matching based on path values"
        ("/*.php", "/filename.php?parameters", False),
        ("/*.php$", "/filename.php?parameters", True),
        ("/*.php$", "/folder/filename.php", False),
        ("/fish*.php", "/Fish.PHP", True),
        ("/fish", "/fishheads/yummy.html", False),
        ("/fish/", "/fish", True),
    ],
)
def test_wildcards_and_ends(rule, path, allowed):
    assert rules(f"User-agent: *\nDisallow: {rule}").allows(HOST + path) is allowed


def test_our_own_group_holds_and_not_the_one_for_all():
    text = "User-agent: *\nDisallow: /\n\nUser-agent: Webfarer\nDisallow: /x\nCrawl-delay: 2.5\n"
    ours, others = rules(text), rules(text, "otherbot/2")
    assert (ours.allows(f"{HOST}/y"), ours.allows(f"{HOST}/x"), ours.delay) == (True, False, 2.5)
    assert (others.allows(f"{HOST}/y"), others.delay) == (False, 0.0)


@pytest.mark.parametrize(("asked", "delay"), [("1e9", 120), ("-3", 0), ("nan", 0)])
def test_no_host_holds_a_crawl_up_for_ever(asked, delay):
    assert rules(f"User-agent: *\nCrawl-delay: {asked}\n").delay == delay


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (401, True), (500, False), (503, False)]
)
def test_what_a_status_without_a_file_means(status, allowed):
    """RFC 9309, sections 2.3.1.3 and 2.3.1.4."""
    assert rules("", status=status).allows(f"{HOST}/page") is allowed


def test_nothing_is_allowed_where_the_network_failed():
    found = read_rules(None, "webfarer", "timeout")
    assert not found.allows(HOST)
    assert found.unreachable == "timeout"


def test_robots_txt_itself_may_always_be_asked_for():
    assert rules("User-agent: *\nDisallow: /").allows(f"{HOST}/robots.txt")


def test_no_more_than_half_a_megabyte_is_read():
    filler = b"#" * (MOST_BYTES - 100) + b"\n"
    text = b"User-agent: *\nDisallow: /a\n" + filler + b"\n" * 200 + b"Disallow: /b\n"
    found = rules(text)
    assert (found.allows(f"{HOST}/a"), found.allows(f"{HOST}/b")) == (False, True)


@pytest.mark.parametrize("text", ["", "\ufeffUser-agent: *\nDisallow: /x", "<html>no</html>", "\0"])
def test_any_text_is_read(text):
    assert rules(text).allows(f"{HOST}/y")
    assert rules("\ufeffUser-agent: *\nDisallow: /x").allows(f"{HOST}/x") is False


def test_one_file_for_each_scheme_host_and_port():
    assert robots_url("http://a.example:8080/b/c?d") == "http://a.example:8080/robots.txt"
    assert product("Webfarer/0.1 (+https://x.example)") == "webfarer"


def test_sitemaps_are_read():
    text = "Sitemap: https://site.example/map.xml\nUser-agent: *\nDisallow: /x\n"
    assert rules(text).sitemaps == ("https://site.example/map.xml",)
