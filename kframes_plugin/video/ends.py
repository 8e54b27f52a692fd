"""Whether a file ends before its container says it does: told by a few bytes, without reading the pictures.

Each check knows one container; where a container does not say where it ends (MPEG-PS, raw streams), nothing is told.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import BinaryIO

_MOST_PARTS = 100_000  # clusters, boxes or chunks beside each other: hours of any file
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # the GUID of its file properties
_PAGE = 27 + 255 + 255 * 255  # bytes of the longest Ogg page


def is_cut_short(path: str, container: str) -> bool:
    """Whether the end of a file is missing.

    Args:
        path: a local file.
        container: FFmpeg's name of its format.
    """
    check = _CHECKS.get(container)
    if check is None:
        return False
    with open(path, "rb") as file:
        try:
            return check(file, os.path.getsize(path))
        except (struct.error, IndexError):  # it ends inside the head of a part
            return True


def _is_mov_cut(file: BinaryIO, size: int) -> bool:
    """A fragment reaches beyond the end. (Without fragments the index tells more: see ``stream.frames``.)"""
    at, fragments = 0, False
    for _ in range(_MOST_PARTS):
        if at >= size:
            return False
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = struct.unpack(">Q", file.read(8))[0]
        fragments = fragments or name == b"moof"
        if length and length < 8:
            return False  # no box
        at += length or size - at
        if at > size:
            return fragments
    return False


def _is_matroska_cut(file: BinaryIO, size: int) -> bool:
    """The segment, or where it has no length one of its clusters, reaches beyond the end."""
    at = 0
    for _ in range(_MOST_PARTS):
        if at >= size:
            return False
        file.seek(at)
        name, length, head = _read_ebml(file.read(12))
        if length is None:
            if name not in (_SEGMENT, _CLUSTER):
                return False
            at += head  # go on inside
        elif at + head + length > size:
            return True
        else:
            at += head + length
    return False


def _read_ebml(data: bytes) -> tuple[int, int | None, int]:
    """(id, length or None where it is not known, bytes of both) of a Matroska element (RFC 8794)."""
    of_name = 9 - data[0].bit_length()
    of_length = 9 - data[of_name].bit_length()
    head = of_name + of_length
    if of_name > 4 or of_length > 8 or len(data) < head:
        raise IndexError("no element")
    most = (1 << 7 * of_length) - 1
    length = int.from_bytes(data[of_name:head], "big") & most
    return int.from_bytes(data[:of_name], "big"), None if length == most else length, head


def _is_avi_cut(file: BinaryIO, size: int) -> bool:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or not length:
            return False  # what follows is no part of it, or the length was never written
        at += 8 + length
        if at > size:
            return True
        at += length % 2
    return False


def _is_flv_cut(file: BinaryIO, size: int) -> bool:
    """A whole file ends with the length of its last tag."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 13:
        return True
    file.seek(size - 4 - length)
    data = int.from_bytes(file.read(4)[1:], "big")
    return data + 11 != int(length)


def _is_ts_cut(file: BinaryIO, size: int) -> bool:
    """Packets of 188 bytes (192 with a time before, 204 with a checksum behind) fill the file."""
    head = file.read(204 * 4)
    for length in (188, 192, 204):
        for start in range(min(length, len(head))):
            if len(head[start::length]) >= 3 and set(head[start::length]) == {0x47}:
                before = 4 if length == 192 else 0
                return (size - start + before) % length != 0
    return False


def _is_ogg_cut(file: BinaryIO, size: int) -> bool:
    """The last page is whole and marked as the end of its stream (RFC 3533)."""
    file.seek(max(0, size - _PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return True
    segments = tail[at + 26]
    end = at + 27 + segments + sum(tail[at + 27 : at + 27 + segments])
    return end != len(tail) or not tail[at + 5] & 4


def _is_asf_cut(file: BinaryIO, size: int) -> bool:
    head = file.read(1 << 16)
    at = head.find(_ASF_FILE)
    return at >= 0 and bool(struct.unpack_from("<Q", head, at + 40)[0] > size)


def _is_gif_cut(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - 16))
    return b"\x3b" not in file.read()


_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": _is_mov_cut,
    "matroska,webm": _is_matroska_cut,
    "avi": _is_avi_cut,
    "flv": _is_flv_cut,
    "mpegts": _is_ts_cut,
    "ogg": _is_ogg_cut,
    "asf": _is_asf_cut,
    "gif": _is_gif_cut,
}
