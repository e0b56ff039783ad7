"""Which addresses may be connected to, and the connecting: so that no page leads into a network.

A host name says nothing about where it leads, so it is resolved here, each address is judged, and
the connection is made to the very address that was judged: a name that resolves differently a
moment later (DNS rebinding) changes nothing. Of a host with several addresses those that are
public are used. TLS still verifies the host's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from socket import IPPROTO_TCP, SOCK_STREAM, getaddrinfo
from ssl import SSLContext
from typing import Any

import httpcore

from webfarer.web.http.exchange import FaultKind

Resolve = Callable[[str], Awaitable[Sequence[str]]]

_UNICAST = IPv6Network("2000::/3")  # all of IPv6 that IANA has given out for the internet
_NAT64 = IPv6Network("64:ff9b::/96")
# What Python's versions do not all know, or not as closed: protocol assignments, tunnels that carry
# IPv4 (long retired), documentation; and a cloud's own service on what is else a public address.
_CLOSED = tuple(
    map(
        ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32",
         "2001::/23", "2002::/16", "3fff::/20"),
    )
)  # fmt: skip
_MAX_ADDRESSES = 4  # of one host that are tried


class Unreachable(Exception):
    """No connection was made; `kind` is what a `FetchError` calls it."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind


def is_public(address: str) -> bool:
    """Whether an IP address lies on the public internet.

    Private, loopback, link-local, shared (RFC 6598), multicast, reserved and unspecified ones do
    not (the IANA special-purpose registries, as Python's ipaddress knows them), nor do cloud
    metadata services. IPv6 that carries an IPv4 address is judged by that where it is mapped or
    NAT64 (RFC 6052), and never public where it is 6to4 or Teredo. Nor is what is no address.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip)
    if isinstance(ip, IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in block for block in _CLOSED)


def system_resolver(threads: Executor) -> Resolve:
    """The system's own resolver, in threads, since it blocks for as long as it likes."""

    def look_up(host: str) -> list[str]:
        found = getaddrinfo(host, None, type=SOCK_STREAM, proto=IPPROTO_TCP)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def resolve(host: str) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, look_up, host)

    return resolve


class Network:
    """Connects to addresses that were resolved and judged here, and to no other.

    With `allow_private` any address will do. `timeout` is in seconds, for resolving and connecting
    together.
    """

    def __init__(self, resolve: Resolve, *, allow_private: bool, timeout: float) -> None:
        self._resolve, self._allow_private, self._timeout = resolve, allow_private, timeout

    async def connect(self, host: str, port: int, tls: SSLContext | None, name: str) -> Stream:
        """A connection to the host, with TLS where its context is given, under that `name`.
        Raises `Unreachable`."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                addresses = await self._addresses(host)
                return await self._first(addresses, host, port, tls, name)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unreachable("timeout", f"no connection within {self._timeout:g} s") from None

    async def _addresses(self, host: str) -> list[str]:
        """The host's addresses that may be connected to."""
        found = [host] if _is_address(host) else await self._look_up(host)
        usable = [one for one in found if self._allow_private or is_public(one)]
        if not usable:
            shown = found[0] if host == found[0] else f"{host} ({found[0]})"
            raise Unreachable(
                "private",
                f"{shown} is on a private or reserved network, which pages may not lead to;"
                " --allow-private opens one's own",
            )
        return usable[:_MAX_ADDRESSES]

    async def _look_up(self, host: str) -> list[str]:
        try:
            found = list(await self._resolve(host))
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a host name"
            raise Unreachable("dns", f"no address is known for {host}: {why}") from None
        if not found:
            raise Unreachable("dns", f"no address is known for {host}")
        return found

    async def _first(
        self, addresses: list[str], host: str, port: int, tls: SSLContext | None, name: str
    ) -> Stream:
        """A connection to the first address that accepts one; each has its share of the time."""
        why = ""
        for address in addresses:
            try:
                async with asyncio.timeout(self._timeout / len(addresses)):
                    reader, writer = await asyncio.open_connection(
                        address, port, ssl=tls, server_hostname=name if tls else None
                    )
                return Stream(reader, writer, address)
            except OSError as error:
                why = getattr(error, "verify_message", "") or error.strerror or "no answer"
        how = "TLS connections" if tls else "connections"
        raise Unreachable("connect", f"{host} gives no {how} on port {port}: {why}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class Stream(httpcore.AsyncNetworkStream):
    """One connection, as httpcore wants it. Time limits are those of whoever awaits."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        self._reader, self._writer, self._address = reader, writer, address

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._writer.write(buffer)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    async def aclose(self) -> None:
        self.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection: whether it is of no more use
            unasked = bool(self._reader._buffer)  # type: ignore[attr-defined]
            return unasked or self._reader.at_eof() or self._writer.is_closing()
        return self._address if info == "address" else self._writer.get_extra_info(info)
