"""Fetch the clips of the footage benchmark: each from a fixed commit, verified by size and SHA-256.

    python benchmarks/footage/fetch.py DIR [--have FOLDER]

Clips that DIR holds already are verified and kept; a download that was cut off goes on where it stopped. Clips that
FOLDER holds (or its dev/) are copied from there. DIR also gets MANIFEST.json, the truth, so that haystack.py and the
studies read it. Only https is used, and no redirect into a private network is followed.
"""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

MANIFEST = Path(__file__).with_name("manifest.json")
ATTEMPTS, REDIRECTS, TIMEOUT = 5, 5, 60.0  # tries a clip, redirects a try, seconds without a byte
MOST_BYTES = 50_000_000  # of one clip


class FetchError(Exception):
    """A clip cannot be had. The message names it, what is wrong and what to do."""


@dataclass(frozen=True)
class Clip:
    """One file to fetch."""

    file: str  # its name in the folder
    url: str  # where it is
    size: int  # bytes, 1 to MOST_BYTES
    sha256: str  # of its bytes, hexadecimal

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or self.file in ("", ".", ".."):
            raise ValueError(f"a clip's file must be a plain name; got {self.file!r}")
        if not 1 <= self.size <= MOST_BYTES:
            raise ValueError(f"{self.file}: a clip has 1 to {MOST_BYTES} bytes; got {self.size}")

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Clip:
        """The clip of a manifest's item."""
        return cls(item["file"], item["url"], item["size"], item["sha256"])


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its literal name."""
    return host in ("127.0.0.1", "::1", "localhost")


def check_url(url: httpx.URL, *, redirected: bool) -> None:
    """Let https pass, and http on this machine; a redirect must not lead into a private network.

    Raises:
        FetchError: it is something else.
    """
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        raise FetchError(f"{url}: only https is fetched; mend the URL in the manifest")
    if not redirected or (url.scheme == "http" and is_loopback(url.host)):
        return
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(url.host, url.port or 443)}
    except OSError as error:
        raise FetchError(f"{url.host} is not known: {error}; check the network") from error
    private = [address for address in addresses if not ipaddress.ip_address(address).is_global]
    if private:
        raise FetchError(f"{url}: the redirect leads to the private address {private[0]}; it is not followed")


def fetch(clip: Clip, folder: Path, client: httpx.Client) -> Path:
    """The clip in the folder, downloaded where it is not there yet.

    Raises:
        FetchError: it is not there, is not what the manifest says, or the connection fails ATTEMPTS times.
    """
    target, part = folder / clip.file, folder / f"{clip.file}.part"
    if target.is_file():
        check_bytes(clip, target)
        return target
    problem: object = None
    for _ in range(ATTEMPTS):
        try:
            _download(clip, part, client)
        except httpx.TransportError as error:
            problem = error
            continue
        got = part.stat().st_size
        if got == clip.size:
            break
        problem = f"the connection ended after {got} of {clip.size} bytes"
    else:
        raise FetchError(f"{clip.file}: {problem}, {ATTEMPTS} times; run this again, it goes on where it stopped")
    try:
        check_bytes(clip, part)
    except FetchError:
        part.unlink()
        raise
    os.replace(part, target)
    return target


def check_bytes(clip: Clip, path: Path) -> None:
    """Compare size and hash with the manifest's.

    Raises:
        FetchError: they differ.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if path.stat().st_size != clip.size or found != clip.sha256:
        raise FetchError(
            f"{path} is not the clip of the manifest (SHA-256 {found[:12]}..., not {clip.sha256[:12]}...); delete it "
            "and run this again"
        )


def _download(clip: Clip, part: Path, client: httpx.Client) -> None:
    """Add to the part file what it lacks; from the start where the server cannot begin in the middle."""
    have = part.stat().st_size if part.is_file() else 0
    if have >= clip.size:
        have = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    url = httpx.URL(clip.url)
    for step in range(REDIRECTS + 1):
        check_url(url, redirected=step > 0)
        with client.stream("GET", url, headers=headers, follow_redirects=False) as response:
            if response.is_redirect:
                url = url.join(response.headers.get("Location", ""))
                continue
            _write(clip, part, response, have)
            return
    raise FetchError(f"{clip.file}: more than {REDIRECTS} redirects from {clip.url}")


def _write(clip: Clip, part: Path, response: httpx.Response, have: int) -> None:
    if response.status_code not in (200, 206):
        raise FetchError(f"{clip.file}: {response.url} answers {response.status_code}; see whether it is still there")
    resumed = response.status_code == 206
    if resumed and response.headers.get("Content-Range", "") != f"bytes {have}-{clip.size - 1}/{clip.size}":
        part.unlink(missing_ok=True)
        raise FetchError(f"{clip.file}: the server sent another part than asked for; run this again")
    got = have if resumed else 0
    with part.open("ab" if resumed else "wb") as stream:
        for chunk in response.iter_raw():  # as it arrives, so that a cut connection loses nothing
            got += len(chunk)
            if got > clip.size:
                stream.close()
                part.unlink()
                raise FetchError(f"{clip.file}: {response.url} sends more than the {clip.size} bytes of the manifest")
            stream.write(chunk)


def copy(clip: Clip, have: Path, folder: Path) -> None:
    """Take a clip from a folder that may hold it; a file that differs is an error, a missing one is left out."""
    source, part = have / clip.file, folder / f"{clip.file}.part"
    if source.is_file() and not (folder / clip.file).is_file():
        check_bytes(clip, source)
        shutil.copyfile(source, part)
        os.replace(part, folder / clip.file)


def fetch_all(folder: Path, have: Path | None = None, manifest: Path = MANIFEST) -> int:
    """Every clip of a manifest, and the manifest beside them; returns how many clips there are.

    Raises:
        FetchError: a clip cannot be had; the others before it stay.
    """
    clips = [Clip.read(item) for item in json.loads(manifest.read_text(encoding="utf-8"))["items"]]
    folder.mkdir(parents=True, exist_ok=True)
    if have is not None and (have / "dev").is_dir():
        have = have / "dev"
    with httpx.Client(timeout=TIMEOUT) as client:
        for number, clip in enumerate(clips, 1):
            if have is not None:
                copy(clip, have, folder)
            fetch(clip, folder, client)
            print(f"{number}/{len(clips)} {clip.file}", file=sys.stderr)
    shutil.copyfile(manifest, folder / "MANIFEST.json")
    return len(clips)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--have", type=Path, help="a folder that holds some of the clips")
    options = parser.parse_args()
    try:
        print(f"{fetch_all(options.folder, options.have)} clips in {options.folder}")
    except FetchError as error:
        sys.exit(f"fetch: {error}")


if __name__ == "__main__":
    main()
