"""`Fetcher` against a hostile server on loopback, and against resolvers that lie."""

import asyncio
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import tracemalloc
import zlib
from contextlib import asynccontextmanager

import httpcore
import pytest
from pydantic import ValidationError

from hostile import HELLO, Hostile, bomb, hostile, hostile_thread, response
from webfarer.types import BadInput
from webfarer.web.http import addresses, connections, fetch
from webfarer.web.http.addresses import is_public
from webfarer.web.http.exchange import FetchError
from webfarer.web.http.fetch import Fetcher, FetchSettings
from webfarer.web.http.inflate import Broken, TooLarge, decompress


@pytest.fixture
async def server():
    async with hostile() as running:
        yield running


def limits(**more):
    """Limits that are soon reached, on one's own network."""
    given = {"timeout": 0.4, "connect_timeout": 0.3, "max_bytes": 1 << 18, "allow_private": True}
    return FetchSettings(**{**given, **more})


async def fault(server: Hostile | None, path: str, settings=None, **more) -> FetchError:
    """The error that fetching a path (or a whole URL) ends in."""
    url = path if server is None or "://" in path else server.url(path)
    async with Fetcher(settings or limits(), **more) as fetcher:
        with pytest.raises(FetchError) as caught:
            await fetcher.follow(url)
    assert "\n" not in str(caught.value)
    return caught.value


def resolver(*answers):
    """Resolves a host to these addresses, another list each time, the last one for ever."""
    left = list(answers)

    async def resolve(host):
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


@pytest.fixture
def dialled(monkeypatch, server):
    """Every connection is noted and leads to the hostile server, whatever its address."""
    seen = []
    connect = asyncio.open_connection

    async def dial(host, port, **tls):
        seen.append(host)
        return await connect("127.0.0.1", server.port)

    monkeypatch.setattr(addresses.asyncio, "open_connection", dial)
    return seen


# What a good answer looks like


async def test_an_exchange_is_what_was_asked_and_what_came(server):
    async with Fetcher(limits()) as fetcher:
        exchange = await fetcher.get(server.url("/ok#part"))
    assert (exchange.status, exchange.reason, exchange.body) == (200, "OK", HELLO)
    assert exchange.url == server.url("/ok#part")
    assert exchange.content_type == "text/html"
    assert exchange.header("CONTENT-type") == "text/html; charset=utf-8"
    assert exchange.address == "127.0.0.1"
    assert exchange.at is not None
    assert exchange.seconds > 0
    assert server.requests[0].target == "/ok"


async def test_a_request_says_who_asks_and_no_more(server):
    async with Fetcher(limits(user_agent="tester/1")) as fetcher:
        got = json.loads((await fetcher.get(server.url("/echo?é=1"), {"Accept": "text/x"})).body)
    assert got["target"] == "/echo?%C3%A9=1"
    assert got["headers"] == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "tester/1",
        "accept": "text/x",
        "accept-encoding": "gzip, deflate",
    }


@pytest.mark.parametrize("agent", ["", " ", "/x", " x", "a\r\nX-Evil: 1", "a\0", "été"])
def test_who_asks_is_one_line_that_begins_with_a_name(agent):
    with pytest.raises(ValidationError):
        FetchSettings(user_agent=agent)


async def test_a_redirect_is_an_answer_and_is_not_followed_by_get(server):
    async with Fetcher(limits()) as fetcher:
        exchange = await fetcher.get(server.url("/redirects?n=2"))
    assert (exchange.status, exchange.location) == (301, "/redirects?n=1")


async def test_redirects_are_followed_hop_by_hop(server):
    async with Fetcher(limits()) as fetcher:
        hops = await fetcher.follow(server.url("/redirects?n=3"))
    assert [hop.status for hop in hops] == [301, 301, 301, 200]
    assert [hop.url for hop in hops] == [server.url(f"/redirects?n={n}") for n in (3, 2, 1, 0)]


async def test_a_redirect_may_be_written_in_utf8(server):
    server.raw("/é", b"HTTP/1.1 302 Found\r\nLocation: /\xc3\xbc\r\nContent-Length: 0\r\n\r\n")
    server.raw("/%C3%A9", server._fixed["/é"])
    server.page("/%C3%BC", "<p>there")
    async with Fetcher(limits()) as fetcher:
        assert (await fetcher.follow(server.url("/é")))[-1].body == b"<p>there"


async def test_connections_are_kept_and_used_again(server):
    async with Fetcher(limits()) as fetcher:
        for _ in range(3):
            await fetcher.get(server.url("/gzip"))
        assert server.connections == 1
    for _ in range(200):  # and closed with the fetcher
        if not server._tasks:
            break
        await asyncio.sleep(0.01)
    assert not server._tasks
    await fetcher.aclose()


@pytest.mark.parametrize("behind", [0.0, 0.05])
async def test_impossible_that_an_answer_no_one_asked_for_is_taken_for_the_next(server, behind):
    """Together with the one before it, or while the connection is idle."""
    server.raw("/both", response("one") + response("another"))
    asked = f"/two-answers?s={behind}" if behind else "/both"
    async with Fetcher(limits()) as fetcher:
        await fetcher.get(server.url(asked))
        await asyncio.sleep(2 * behind)
        assert (await fetcher.get(server.url("/ok"))).body == HELLO


@pytest.mark.parametrize("path", ["/gzip", "/members", "/deflate", "/raw-deflate", "/nested?n=2"])
async def test_bodies_come_without_their_encoding(server, path):
    async with Fetcher(limits()) as fetcher:
        assert (await fetcher.get(server.url(path))).body == HELLO


# Addresses


PUBLIC = "8.8.8.8 1.1.1.1 193.0.6.139 2606:4700:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"
NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.9.9.9 169.254.0.1
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd00:ec2::254 ff02::1 100::1 2001:db8::1 3fff::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::127.0.0.1 ::8.8.8.8 2002:7f00:1:: 2002:808:808::
2001:0:4136:e378:8000:63bf:3fff:fdd2 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 5f00::1
4000::1 localhost 127.1
"""


def test_addresses_are_judged_by_the_registries():
    """The IANA special-purpose registries (RFC 6890 and later), address by address."""
    assert [one for one in PUBLIC.split() if not is_public(one)] == []
    assert [one for one in [*NOT_PUBLIC.split(), ""] if is_public(one)] == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "169.254.169.254",
     "2852039166", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fd00:ec2::254]",
     "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.1.2.3", "１２７.０.０.１"],
)  # fmt: skip
async def test_impossible_that_a_private_address_is_fetched_however_it_is_spelt(server, host):
    error = await fault(None, f"http://{host}:{server.port}/ok", FetchSettings())
    assert error.kind == "private"
    assert "--allow-private" in str(error)
    assert not server.connections


async def test_a_private_address_is_refused_after_resolution(server):
    """The system's own resolver knows localhost; the others are lies."""
    assert (await fault(None, server.url("/ok", "localhost"), FetchSettings())).kind == "private"
    for address in ("127.0.0.1", "10.0.0.1", "::1", "fe80::1%lo", "169.254.169.254"):
        lying = resolver([address])
        error = await fault(None, server.url("/ok", "site.example"), FetchSettings(), resolve=lying)
        assert error.kind == "private"
        assert address in str(error)
    assert not server.connections


async def test_the_address_that_was_judged_is_the_one_connected_to(server, dialled):
    """DNS rebinding: the name leads elsewhere the second time, and that is judged anew."""
    rebinding = resolver(["8.8.8.8"], ["127.0.0.1"])
    async with Fetcher(FetchSettings(), resolve=rebinding) as fetcher:
        url = server.url("/silent-close", "rebind.example")
        with pytest.raises(FetchError, match="disconnected"):
            await fetcher.get(url)
        with pytest.raises(FetchError, match="private"):
            await fetcher.get(url)
    assert dialled == ["8.8.8.8"]


async def test_of_several_addresses_only_public_ones_are_used(server, dialled):
    mixed = resolver(["10.0.0.1", "8.8.8.8", "127.0.0.1"])
    async with Fetcher(FetchSettings(), resolve=mixed) as fetcher:
        assert (await fetcher.get(server.url("/ok", "mixed.example"))).address == "8.8.8.8"
    assert dialled == ["8.8.8.8"]


async def test_impossible_that_a_redirect_leads_into_a_private_network(server):
    """The site is routed, so that its own address may be private; where it leads may not."""
    routes = {"site.example": server.base}
    for there in (
        server.url("/ok"),
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
    ):
        error = await fault(
            None, f"http://site.example/redirect?to={there}", FetchSettings(), routes=routes
        )
        assert (error.kind, error.url) == ("private", there)
    assert server.asked("/redirect") == 3
    assert server.asked("/ok") == 0


async def test_a_routed_connection_is_lent_to_no_one_else(server):
    """A connection to the private address is open and idle, but was not opened for that URL."""
    async with Fetcher(FetchSettings(), {"site.example": server.base}) as fetcher:
        assert (await fetcher.get("http://site.example/ok")).status == 200
        with pytest.raises(FetchError, match="private"):
            await fetcher.get(server.url("/ok"))


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a.example/", "gopher://a.example/", "data:text/html,x", "x",
     "javascript:alert(1)", "http://user:pass@a.example/", "unix:///var/run/docker.sock"],
)  # fmt: skip
async def test_only_http_and_https_are_fetched_also_after_a_redirect(server, url):
    assert (await fault(None, url)).kind == "scheme"
    if url != "x":
        assert (await fault(server, f"/redirect?to={url}")).kind == "scheme"


async def test_allow_private_opens_ones_own_network(server):
    async with Fetcher(limits()) as fetcher:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            assert (await fetcher.get(server.url("/ok", host))).status == 200


# Routes


async def test_a_route_leads_elsewhere_under_the_hosts_own_name(server):
    async with Fetcher(FetchSettings(), {"Old-Atlas.example": server.base}) as fetcher:
        exchange = await fetcher.get("https://old-atlas.example/echo?x=1")
    got = json.loads(exchange.body)
    assert exchange.url == "https://old-atlas.example/echo?x=1"
    assert got["target"] == "/echo?x=1"
    assert got["headers"]["host"] == "old-atlas.example"


def test_a_route_to_nowhere_is_bad_input():
    with pytest.raises(BadInput, match=r"atlas\.example leads to 'localhost:8000'"):
        Fetcher(FetchSettings(), {"atlas.example": "localhost:8000"})


# Limits


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/large", "too_large", "1,000,000,000,000 bytes"),
        ("/endless", "too_large", "goes on"),
        ("/endless-close", "too_large", "goes on"),
        ("/crumbs", "too_large", "goes on"),
        ("/endless-headers", "too_large", "headers"),
        ("/many-headers", "too_large", "headers"),
        ("/nested?n=3", "encoding", "3 times"),
        ("/cut-gzip", "encoding", "cut short"),
        ("/broken-gzip", "encoding", "broken"),
        ("/brotli", "encoding", "'br'"),
        ("/drip", "timeout", "0.4 s"),
        ("/drip-headers", "timeout", "0.4 s"),
        ("/hang", "timeout", "0.4 s"),
        ("/endless-continue", "timeout", "0.4 s"),
        ("/huge-chunk", "timeout", "0.4 s"),
        ("/garbage", "protocol", "not whole HTTP"),
        ("/silent-close", "protocol", "without sending"),
        ("/cut-body", "protocol", "9 bytes"),
        ("/cut-chunk", "protocol", "incomplete"),
        ("/two-lengths", "protocol", "Content-Length"),
        ("/loop", "redirects", "circle"),
        ("/redirects?n=11", "redirects", "more than 10"),
        ("/redirect?to=http://%5Bbad", "scheme", "not a web address"),
    ],
)
async def test_a_hostile_answer_ends_in_an_error_of_its_kind(server, path, kind, said):
    error = await fault(server, path, limits(timeout=0.4 if kind == "timeout" else 10.0))
    assert (error.kind, said in str(error)) == (kind, True), str(error)
    assert error.passing == (kind in ("timeout", "protocol"))


async def test_as_many_redirects_as_are_allowed_are_followed(server):
    async with Fetcher(limits(max_redirects=3)) as fetcher:
        assert len(await fetcher.follow(server.url("/redirects?n=3"))) == 4
    assert (await fault(server, "/redirects?n=4", limits(max_redirects=3))).kind == "redirects"
    assert (await fault(server, "/redirects?n=1", limits(max_redirects=0))).kind == "redirects"


async def test_a_body_in_crumbs_is_cut_off_long_before_its_size(server, monkeypatch):
    monkeypatch.setattr(fetch, "_MAX_PIECES", 100)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.raw("/100", head + b"1\r\nx\r\n" * 100 + b"0\r\n\r\n")
    server.raw("/101", head + b"1\r\nx\r\n" * 101 + b"0\r\n\r\n")
    async with Fetcher(limits(timeout=10.0)) as fetcher:
        assert (await fetcher.get(server.url("/100"))).body == b"x" * 100
    assert (await fault(server, "/101", limits(timeout=10.0))).kind == "too_large"


async def test_a_decompression_bomb_is_cut_off(server):
    """10 MB that are 10 GB."""
    tracemalloc.start()
    error = await fault(server, "/bomb", limits(max_bytes=16 << 20, timeout=10.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.kind, "decompresses to more" in str(error)) == ("too_large", True)
    assert peak < 120 << 20  # the server's own 20 MB, two bodies of 16 MB, and change


def test_a_bomb_within_a_bomb_is_cut_off():
    inner = gzip.compress(bytes(64 << 20), 9)
    with pytest.raises(TooLarge):
        decompress(gzip.compress(inner, 9), ["gzip, gzip"], 1 << 20)
    with pytest.raises(TooLarge):
        decompress(bomb(100, 1 << 20), ["gzip"], 1 << 20)
    with pytest.raises(TooLarge):
        decompress(zlib.compress(bytes(2 << 20)), ["deflate"], 1 << 20)


def test_no_piece_of_a_bomb_is_ever_larger_than_allowed():
    small = zlib.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decompress(small, ["deflate"], 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_exactly_what_is_allowed_comes_through():
    data = bytes(1 << 20)
    assert decompress(gzip.compress(data), ["GZIP"], 1 << 20) == data
    assert decompress(data, ["identity"], 10) == data
    assert decompress(b"", ["br"], 10) == b""
    assert decompress(gzip.compress(b"x") + b"trailing", ["gzip"], 10) == b"x"
    with pytest.raises(Broken):
        decompress(b"<html>", ["gzip"], 10)


async def test_what_has_no_body_may_say_anything_of_its_encoding(server):
    server.raw("/a", response(b"", status="302 Found",
                              headers={"Location": "/ok", "Content-Encoding": "br"}))  # fmt: skip
    async with Fetcher(limits()) as fetcher:
        assert (await fetcher.follow(server.url("/a")))[-1].body == HELLO


async def test_of_what_is_not_wanted_only_the_headers_are_read(server):
    server.raw("/pdf", b"HTTP/1.1 200 OK\r\nContent-Type: Application/PDF; x=y\r\n"
                       b"Content-Length: 1000000000000\r\n\r\n%PDF")  # fmt: skip
    async with Fetcher(limits(), wanted=lambda kind: kind != "application/pdf") as fetcher:
        exchange = await fetcher.get(server.url("/pdf"))
        assert (exchange.content_type, exchange.body) == ("application/pdf", b"")
        assert (await fetcher.get(server.url("/ok"))).body == HELLO


# What is down


async def test_a_server_that_is_down_refuses(server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await fault(None, f"http://127.0.0.1:{port}/")
    assert (error.kind, error.passing) == ("connect", True)
    assert f"port {port}" in str(error)


async def test_a_host_that_no_one_knows(server):
    async def unknown(host):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (unknown, resolver([])):
        error = await fault(None, "http://no.example/", resolve=resolve)
        assert (error.kind, "no.example" in str(error)) == ("dns", True)


async def test_a_resolver_that_hangs_is_not_waited_for():
    async def hang(host):
        await asyncio.sleep(60)

    error = await fault(None, "http://slow.example/", resolve=hang)
    assert (error.kind, "0.3 s" in str(error)) == ("timeout", True)


async def test_a_server_that_does_not_answer_the_call_is_not_waited_for(monkeypatch):
    async def dial(host, port, **tls):
        await asyncio.sleep(60)

    monkeypatch.setattr(addresses.asyncio, "open_connection", dial)
    kinds = {(await fault(None, "http://10.0.0.1/", resolve=resolver(["10.0.0.1"]))).kind}
    assert kinds <= {"connect", "timeout"}


# Nothing shared


async def test_impossible_that_cookies_are_kept(server):
    async with Fetcher(limits()) as fetcher:
        for _ in range(2):
            exchange = await fetcher.get(server.url("/cookie"))
            assert exchange.header("set-cookie") == "id=42; Path=/"
            assert exchange.body == b"<p>Your cookie is none."


async def test_nothing_is_read_from_the_environment(server, monkeypatch, tmp_path):
    async with hostile() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base)
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        async with Fetcher(limits()) as fetcher:
            got = json.loads((await fetcher.get(server.url("/echo"))).body)
        assert "authorization" not in got["headers"]
        assert not proxy.connections


async def test_a_host_has_no_more_connections_than_allowed_and_waiting_is_no_fault(server):
    settings = limits(connections_per_host=2, timeout=1.0)
    async with Fetcher(settings) as fetcher:
        urls = [server.url(f"/slow?s=0.3&n={n}") for n in range(8)]
        got = await asyncio.gather(*map(fetcher.get, urls))
    assert [exchange.status for exchange in got] == [200] * 8
    assert server.most_at_once == 2


async def test_a_fetcher_is_as_good_as_new_after_every_fault(server):
    paths = ["/hang", "/cut-body", "/garbage", "/endless", "/cut-gzip", "/large"]
    async with Fetcher(limits(connections=2, connections_per_host=2, timeout=0.4)) as fetcher:
        for path in paths * 2:
            with pytest.raises(FetchError):
                await fetcher.get(server.url(path))
        assert (await fetcher.get(server.url("/ok"))).body == HELLO
        tasks = [asyncio.create_task(fetcher.get(server.url("/hang"))) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await fetcher.get(server.url("/ok"))).body == HELLO


def test_one_fetcher_serves_one_event_loop_after_another():
    with hostile_thread() as server:
        fetcher = Fetcher(limits(connections=2, connections_per_host=2))

        async def run():
            got = await asyncio.gather(*[fetcher.get(server.url("/gzip")) for _ in range(6)])
            assert [exchange.body for exchange in got] == [HELLO] * 6

        for _ in range(3):
            asyncio.run(run())
        asyncio.run(fetcher.aclose())
        assert server.connections == 6


# TLS


@asynccontextmanager
async def tls_server(folder):
    """A server with a certificate of its own for tls.example; gives its port and certificate."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
               "/CN=tls.example", "-addext", "subjectAltName=DNS:tls.example",
               "-keyout", str(key), "-out", str(cert)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    names = []
    context.sni_callback = lambda one, name, context: names.append(name)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(HELLO * 3000))
        await writer.drain()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1], cert, names


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_tls_verifies_the_name_that_was_asked_for(tmp_path, monkeypatch):
    async with tls_server(tmp_path) as (port, cert, names):
        here = resolver(["127.0.0.1"])
        error = await fault(None, f"https://tls.example:{port}/", resolve=here)
        assert (error.kind, "self-signed" in str(error)) == ("connect", True), str(error)
        trusting = httpcore.default_ssl_context()
        trusting.load_verify_locations(cert)
        monkeypatch.setattr(connections, "default_tls", lambda: trusting)
        async with Fetcher(limits(timeout=5.0, max_bytes=1 << 20), resolve=here) as fetcher:
            exchange = await fetcher.get(f"https://tls.example:{port}/")
            assert exchange.body == HELLO * 3000
            with pytest.raises(FetchError, match=r"not valid for 'other\.example'"):
                await fetcher.get(f"https://other.example:{port}/")
        assert names == ["tls.example", "tls.example", "other.example"]
