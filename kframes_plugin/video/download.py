"""Fetch the video behind an http(s) URL into a file. FFmpeg itself never touches the network.

Every hop is resolved here and connected to by the address that was checked, so that neither a redirect nor a name that
changes its address in between leads into a private network.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from kframes_plugin.errors import VideoError
from kframes_plugin.http import OutOfTime, run_within
from kframes_plugin.text import shortened

MOST_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def download(
    url: str, to: BinaryIO, *, hosts: Collection[str] | None, wait: float, seconds: float, max_bytes: int
) -> None:
    """Write what a URL gives to an open file.

    Args:
        url: http or https.
        to: where it goes.
        hosts: names of hosts ("media.example.org", "10.0.0.7:8000") that may be asked, and no others; None: any, but
            a redirect may lead to a private address only where the URL itself does, on the same port.
        wait: seconds for the connection, and for each next byte, > 0.
        seconds: for everything, from the look-up of the name to the last byte, > 0.
        max_bytes: of the video, >= 1.

    Raises:
        VideoError: it cannot be had within these limits; the message begins with the URL.
    """
    fetch = _Fetch(url, hosts, wait, max_bytes)
    try:
        run_within(seconds, lambda: fetch.into(to), fetch.stop)
    except OutOfTime as error:
        raise VideoError(f"{shortened(url)}: was not downloaded within {seconds:g} s; raise total_timeout.") from error
    except httpx.TimeoutException as error:
        raise VideoError(
            f"{shortened(url)}: its server sent nothing for {wait:g} s; try again, or raise timeout."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        why = shortened(str(error), 200) or type(error).__name__
        raise VideoError(f"{shortened(url)}: cannot be fetched: {why}; check the URL.") from error


@dataclass
class _Fetch:
    """One download, with its redirects; see :func:`download`."""

    url: str
    hosts: Collection[str] | None
    wait: float
    max_bytes: int
    _client: httpx.Client | None = None
    _stopped: Event = field(default_factory=Event)

    def stop(self) -> None:
        """Make it end; what it waits for ends within ``wait``."""
        self._stopped.set()
        if self._client is not None:
            self._client.close()

    def into(self, to: BinaryIO) -> None:
        """Follow redirects, then write the video."""
        url = self.url
        for _ in range(MOST_REDIRECTS + 1):
            for address in self._addresses(url):
                try:
                    with self._client_for(url) as client, self._get(client, url, address) as response:
                        if response.is_redirect:
                            url = urljoin(url, response.headers["location"])
                            break
                        self._write(response, to)
                        return
                except httpx.ConnectError as error:
                    unreachable = error
            else:
                raise unreachable
        raise self._error(f"redirects more than {MOST_REDIRECTS} times; give the last URL.")

    def _addresses(self, url: str) -> list[str | None]:
        """The addresses to connect to, all of them allowed; [None]: a proxy of the environment looks the name up."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)
        where = f"redirects to {shortened(url, 200)}, which" if url != self.url else "its URL"
        if parts.scheme not in _PORTS or not host or port is None:
            raise self._error(f"{where} is not an http or https URL; download it yourself.")
        if "@" in parts.netloc:
            raise self._error(f"{where} contains a password; leave it out, or download the video yourself.")
        names = {host, f"{host}:{port}"}
        if self.hosts is not None and not names & {name.lower() for name in self.hosts}:
            raise self._error(
                f"{where} is on {host}, not one of {', '.join(sorted(self.hosts))}; add it to allow_urls."
            )
        if _proxy(parts.scheme, host):
            return [None]
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        first = urlsplit(self.url)
        named = self.hosts is not None or (host, port) == (first.hostname, first.port or _PORTS[first.scheme])
        if not named and any(map(is_private, found)):
            raise self._error(
                f"{where} is a private address; if you trust it, name its host: allow_urls=({host!r}, ...)."
            )
        return sorted(found, key=_is_v6)

    def _client_for(self, url: str) -> httpx.Client:
        parts = urlsplit(url)
        proxy = _proxy(parts.scheme, parts.hostname or "")
        verify = parts.scheme == "https" or proxy is not None  # 30 ms of CPU for certificates that plain http has not
        self._client = httpx.Client(
            timeout=self.wait, follow_redirects=False, trust_env=False, proxy=proxy, verify=verify
        )
        if self._stopped.is_set():
            raise OutOfTime("stopped")
        return self._client

    def _get(self, client: httpx.Client, url: str, address: str | None) -> AbstractContextManager[httpx.Response]:
        target, extensions = httpx.URL(url), {}
        headers = {"Host": target.netloc.decode("ascii"), "Accept-Encoding": "identity", "User-Agent": "kframes"}
        if address is not None:
            extensions = {"sni_hostname": target.raw_host.decode("ascii")}
            target = target.copy_with(host=address)
        return client.stream("GET", target, headers=headers, extensions=extensions)

    def _write(self, response: httpx.Response, to: BinaryIO) -> None:
        if response.status_code != 200:
            said = shortened(f"{response.status_code} {response.reason_phrase}", 80)
            raise self._error(f"cannot be opened: its server answers {said}; check the URL.")
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise self._error(f"is sent compressed as '{shortened(coding, 40)}', which was not asked for; download it.")
        length = response.headers.get("content-length", "")
        there = int(length) if length.isdecimal() else 0
        for chunk in response.iter_raw(1 << 20) if there <= self.max_bytes else ():
            there = to.tell() + len(chunk)
            if there > self.max_bytes:
                break
            to.write(chunk)
        if there > self.max_bytes:
            raise self._error(f"has more than max_bytes = {self.max_bytes:,} bytes; raise max_bytes if you trust it.")

    def _error(self, why: str) -> VideoError:
        return VideoError(f"{shortened(self.url)}: {why}")


def _is_v6(address: str | None) -> bool:
    return ":" in str(address)


def is_private(address: str) -> bool:
    """Whether an IP address, "127.0.0.1" or "fe80::1%eth0", is none of the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_private(str(inner))
    return not ip.is_global or ip.is_multicast


def _proxy(scheme: str, host: str) -> str | None:
    return None if proxy_bypass(host) else getproxies().get(scheme)
