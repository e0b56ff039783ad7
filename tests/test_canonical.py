"""`canonical`: values from RFC 3986's own tables and the examples of the WHATWG URL standard."""

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.web.http.canonical import MAX_LENGTH, canonical

# RFC 3986, sections 5.4.1 and 5.4.2: references against this base. Fragments are dropped here, and
# ";" and "g:h" treated as told in the module (another scheme is no web address).
RFC_BASE = "http://a/b/c/d;p?q"
RFC_TABLE = """
g=http://a/b/c/g  ./g=http://a/b/c/g  g/=http://a/b/c/g/  /g=http://a/g  //g=http://g/
?y=http://a/b/c/d;p?y  g?y=http://a/b/c/g?y  #s=http://a/b/c/d;p?q  g#s=http://a/b/c/g
g?y#s=http://a/b/c/g?y  ;x=http://a/b/c/;x  g;x=http://a/b/c/g;x  g;x?y#s=http://a/b/c/g;x?y
.=http://a/b/c/  ./=http://a/b/c/  ..=http://a/b/  ../=http://a/b/  ../g=http://a/b/g
../..=http://a/  ../../=http://a/  ../../g=http://a/g  ../../../g=http://a/g
../../../../g=http://a/g  /./g=http://a/g  /../g=http://a/g  g.=http://a/b/c/g.  .g=http://a/b/c/.g
g..=http://a/b/c/g..  ..g=http://a/b/c/..g  ./../g=http://a/b/g  ./g/.=http://a/b/c/g/
g/./h=http://a/b/c/g/h  g/../h=http://a/b/c/h  g?y/./x=http://a/b/c/g?y/./x
g?y/../x=http://a/b/c/g?y/../x  g#s/../x=http://a/b/c/g
"""


@pytest.mark.parametrize("row", RFC_TABLE.split())
def test_references_resolve_as_in_the_rfc(row):
    reference, _, expected = row.partition("=")
    assert canonical(reference, RFC_BASE) == expected
    assert canonical("", RFC_BASE) == "http://a/b/c/d;p?q"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("https://example.com:0443/x", "https://example.com/x"),
        ("http://example.com:8080", "http://example.com:8080/"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://example.com:/a", "http://example.com/a"),
        ("http://example.com/?", "http://example.com/"),
        ("http://example.com?b=2&a=1", "http://example.com/?b=2&a=1"),
        ("http://example.com/#part", "http://example.com/"),
        ("  http://example.com/a\n", "http://example.com/a"),
        ("http://example.com/a\nb", "http://example.com/ab"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        # RFC 3986, section 6.2.2: escapes
        ("http://example.com/%7euser/%2f%c3%a9", "http://example.com/~user/%2F%C3%A9"),
        ("http://example.com/a/%2E%2e/b", "http://example.com/b"),
        ("http://example.com/a b?c d", "http://example.com/a%20b?c%20d"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/é?ü", "http://example.com/%C3%A9?%C3%BC"),
        ("https://zh.wikipedia.org/wiki/北京", "https://zh.wikipedia.org/wiki/%E5%8C%97%E4%BA%AC"),
        # IDNA, punycode as in RFC 3492 and the WHATWG examples
        ("http://münchen.de/", "http://xn--mnchen-3ya.de/"),
        ("http://faß.ExAmPlE/", "http://xn--fa-hia.example/"),
        ("http://中国.cn", "http://xn--fiqs8s.cn/"),
        ("http://example%2Ecom/", "http://example.com/"),
        # IPv4 in any spelling (WHATWG, host parsing)
        ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f000001/", "http://127.0.0.1/"),
        ("http://0177.0.0.01/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://127.1/", "http://127.0.0.1/"),
        ("http://１２７.０.０.１/", "http://127.0.0.1/"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
    ],
)
def test_there_is_one_spelling(url, expected):
    assert canonical(url) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "/a", "example.com", "ftp://example.com/", "file:///etc/passwd", "mailto:a@b.c",
        "javascript:alert(1)", "data:text/html,x", "http:", "http:///a", "http://", "https://:80/",
        "http://user@example.com/", "http://user:pass@example.com/", "http://good.example@evil.org",
        "http://a b/", "http://a..b/", "http://-/", "http://256.1.1.1/", "http://1.2.3.4.5/",
        "http://a.b.09/", "http://example.com:99999/", "http://example.com:0",
        "http://example.com:8a/", "http://[::1", "http://[::1%25eth0]/", "http://[x]/",
        "http://exa\x00mple.com/", "http://example.com/\x01a", "http://example.com/\ud800",
        "http://" + "a" * 64 + ".com/", "http://" + "a." * 130 + "com/", "http://xn--a\u00e9/",
        "http://example.com/" + "a" * MAX_LENGTH, "http://example.com/" + "é" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_none(url):
    assert canonical(url) is None


def test_a_link_is_none_where_its_base_is_and_it_is_not_whole():
    assert canonical("a", "mailto:x@y") is None
    assert canonical("http://b.example/", "mailto:x@y") == "http://b.example/"
    assert canonical("javascript:void(0)", "http://a.example/") is None
    assert canonical("http:b", "http://a.example/") is None


def test_a_backslash_hides_no_host():
    """Browsers go to good.example here, so that is what is judged and asked."""
    assert canonical("http://good.example\\@evil.org/") == "http://good.example/@evil.org/"
    assert canonical("/\\evil.org/x", "http://good.example/") == "http://evil.org/x"


URLS = st.from_regex(
    r"(https?:)?(//[a-zA-Z0-9.@:\[\]é中%-]{0,12})?[/a-z.%0-9A-F \\é?#&=+~-]{0,30}", fullmatch=True
)


@given(URLS | st.text(max_size=40), URLS | st.none())
def test_the_canonical_form_is_its_own(url, base):
    once = canonical(url, base)
    if once is not None:
        assert canonical(once) == once
        assert once.isascii()
        assert once.startswith(("http://", "https://"))
        assert canonical(once, "http://other.example/x/y") == once


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "", "c.d"]), max_size=8))
def test_dot_segments_go_as_urljoin_takes_them(parts):
    """Another implementation: urllib.parse.urljoin (RFC 3986), for paths without empty segments,
    which it drops and browsers keep."""
    path = "/".join(part for part in parts if part)
    base = "http://h.example/x/y/z"
    expected = urljoin(base, path)
    assert canonical(path, base) == expected
