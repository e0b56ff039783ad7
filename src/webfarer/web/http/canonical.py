"""`canonical`: the one spelling of a web address, so that a page is known under one name.

By RFC 3986 (resolution, section 5; normalisation, section 6.2) and, where pages in the wild need
it, by what browsers do (the WHATWG URL standard): host names in IDNA, IPv4 addresses in any of
their spellings, backslashes, stray whitespace. Unlike either, an address with a user name is no
web address here, and a trailing "?" or the dot after a host name makes no difference.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import unquote

import idna

MAX_LENGTH = 4096  # characters; what is longer is a trap or a mistake

_CHARS = r"A-Za-z0-9\-._~!$&'()*+,;=:@/"
# What is canonical already, and what only has to be put behind its base: the common cases.
_DONE = re.compile(
    r"https?://(?=[^/]{1,253}/)(?:[a-z0-9][a-z0-9-]{0,62}\.)*[a-z][a-z0-9-]{0,62}"
    rf"/[{_CHARS}]*(?:\?[{_CHARS}?]+)?"
)
_SIMPLE = re.compile(rf"(?:/(?!/)|(?![^/?#]*:)[A-Za-z0-9_])[{_CHARS}]*(?:\?[{_CHARS}?]+)?")
_SPLIT = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL
)
_PATH_ODD = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/]")
_QUERY_ODD = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_EDGES = "".join(map(chr, range(0x21)))  # what browsers drop around an address
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS = {"http": "80", "https": "443"}


class _Base(NamedTuple):
    """A canonical URL in the parts that links are put behind."""

    scheme: str
    origin: str
    path: str
    query: str

    @property
    def folder(self) -> str:
        return self.path[: self.path.rindex("/") + 1]


def canonical(url: str, base: str | None = None) -> str | None:
    """The one spelling of an http or https URL, relative to `base` where one is given; None for
    what is none, or is absurd.

    Scheme and host are in lower case, the host in ASCII, the default port dropped, dot segments
    resolved, escapes in upper case and only where needed, an empty path is "/", the fragment is
    dropped and the query kept in its order. Stable: the canonical form of it is itself.
    """
    if _DONE.fullmatch(url) and "/." not in url and len(url) <= MAX_LENGTH:
        return url
    start = _base(base) if base is not None else None
    if start is not None and "/." not in url:
        link = url.partition("#")[0]
        if _SIMPLE.fullmatch(link) and len(link) + len(start.origin + start.path) <= MAX_LENGTH:
            return start.origin + (link if link[0] == "/" else start.folder + link)
    return _canonical(url, start)


def _canonical(url: str, base: _Base | None) -> str | None:
    url = url.strip(_EDGES).replace("\t", "").replace("\n", "").replace("\r", "")
    if len(url) > MAX_LENGTH or _CONTROL.search(url):
        return None
    match = _SPLIT.fullmatch(_slashes(url))
    assert match is not None  # the pattern takes anything
    scheme, authority, path, query = match.groups()
    scheme = scheme.lower() if scheme else (base.scheme if base else "")
    if scheme not in _PORTS or (authority is None and (match[1] or base is None)):
        return None
    try:
        origin = base.origin if authority is None and base else _origin(scheme, authority or "")
        path, query = _tidy(path, _PATH_ODD), _tidy(query or "", _QUERY_ODD)
    except ValueError:
        return None
    if authority is None and base is not None:
        path, query = _merge(path, query, base)
    whole = origin + _without_dots(path or "/") + (f"?{query}" if query else "")
    return whole if len(whole) <= MAX_LENGTH else None


def _slashes(url: str) -> str:
    """Backslashes before the query are slashes, as browsers take them."""
    if "\\" not in url:
        return url
    end = min((i for i in (url.find("?"), url.find("#")) if i >= 0), default=len(url))
    return url[:end].replace("\\", "/") + url[end:]


def _merge(path: str, query: str, base: _Base) -> tuple[str, str]:
    """A relative path behind its base (RFC 3986, section 5.2.3)."""
    if not path:
        return base.path, query or base.query
    return (path if path.startswith("/") else base.folder + path), query


@lru_cache(maxsize=1024)
def _base(url: str) -> _Base | None:
    spelled = canonical(url)
    if spelled is None:
        return None
    match = _SPLIT.fullmatch(spelled)
    assert match is not None
    return _Base(match[1], f"{match[1]}://{match[2]}", match[3], match[4] or "")


def _tidy(text: str, odd: re.Pattern[str]) -> str:
    """Escapes in their one form. Raises `UnicodeEncodeError` for half a surrogate pair."""
    return odd.sub(_escape, text) if odd.search(text) else text


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 3 and found[0] == "%":
        char = chr(int(found[1:], 16))
        return char if char in _UNRESERVED else found.upper()
    return "".join(f"%{byte:02X}" for byte in found.encode("utf-8"))


def _without_dots(path: str) -> str:
    """The path with `.` and `..` taken away (RFC 3986, section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    end = "/" if segments[-1] in (".", "..") and kept else ""
    return "/" + "/".join(kept) + end


# Hosts


@lru_cache(maxsize=4096)
def _origin(scheme: str, authority: str) -> str:
    """Scheme, host and port. Raises `ValueError` for what is no host or has a user name."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@]+)(?::([0-9]{0,9}))?", authority)
    if match is None:
        raise ValueError("no host")
    host = _ipv6(match[1][1:-1]) if match[1].startswith("[") else _host(match[1])
    port = (match[2] or "").lstrip("0")
    if match[2] and not (port and int(port) <= 65535):
        raise ValueError("no port")
    return f"{scheme}://{host}" + (f":{port}" if port and port != _PORTS[scheme] else "")


def _host(name: str) -> str:
    """A host name in ASCII, or the IPv4 address that it spells."""
    if "%" in name:
        name = unquote(name, errors="strict")
    name = name.lower() if name.isascii() else _ascii(name)
    name = name[:-1] if name.endswith(".") else name
    if not _HOST.fullmatch(name) or ".." in name or len(name) > 253:
        raise ValueError("no host name")
    labels = name.split(".")
    if max(map(len, labels)) > 63:
        raise ValueError("no host name")
    return _ipv4(labels) if _NUMBER.fullmatch(labels[-1]) else name


def _ascii(name: str) -> str:
    """IDNA 2008 over the mapping of UTS 46. Raises `idna.IDNAError`, a `ValueError`."""
    return idna.encode(name, uts46=True).decode("ascii").lower()


def _ipv4(labels: list[str]) -> str:
    """The address in dots, from one to four numbers that are decimal, octal or hexadecimal."""
    if len(labels) > 4 or not all(map(_NUMBER.fullmatch, labels)):
        raise ValueError("no IPv4 address")
    *first, last = map(_number, labels)
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        raise ValueError("no IPv4 address")
    return str(IPv4Address(sum(n << (24 - 8 * i) for i, n in enumerate(first)) + last))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if len(text) > 1 and text[0] == "0" else int(text)


def _ipv6(text: str) -> str:
    ip = IPv6Address(text)
    if ip.ipv4_mapped is None:
        return f"[{ip.compressed}]"
    low = int(ip) & 0xFFFFFFFF  # Python writes these differently from version to version
    return f"[::ffff:{low >> 16:x}:{low & 0xFFFF:x}]"
