"""The packets of a long MP4 or MOV file from its own tables, without reading the packets (ISO/IEC 14496-12).

Ten hours at 25 frames a second take 7 s to read packet by packet, and all of the file from the disk. The tables hold
the same: times (stts, ctts, elst), I-frames (stss), sizes and places (stsz, stsc, stco). They are believed only where
they agree with each other, with the index that FFmpeg made of them, and with packets that are read all over the file.
Short files are read whole: that takes .1 s and finds damage anywhere.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from kframes_plugin.video.decoder import DamagedError
from kframes_plugin.video.index import Packets, is_sound
from kframes_plugin.video.opening import demux

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kframes_plugin.video.reading import Reading

LONG = 20_000  # packets: 13 minutes at 25 frames a second
_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")  # each of their packets shows one picture
_PROBES, _A_PROBE = 16, 4  # places in the file where packets are read, and how many there
_MOOV_BYTES = 512 << 20  # of all tables; 10 hours take 10 MB
_MAX_BOXES = 10_000  # beside each other
_ROOMS = {b"trak", b"edts", b"mdia", b"minf", b"stbl"}  # boxes that hold boxes
_Boxes = dict[bytes, memoryview]


@dataclass
class _Table:
    """Samples in the order of the file: ticks of decoding, ticks from there to display, lengths in ticks, I-frames."""

    dts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    durations: NDArray[np.int64]
    key: NDArray[np.bool_]


def read_mp4_tables(reading: Reading) -> Packets | None:
    """The packets of a long, sound MP4 or MOV file; None where they have to be read one by one."""
    container, stream, _ = reading.shared(threads=1)
    if "mp4" not in container.format.name or stream.codec.canonical_name not in _CODECS or stream.frames < LONG:
        return None
    try:
        table = _read_table(reading.local, stream.id)
    except (OSError, ValueError, struct.error, IndexError, KeyError):
        return None
    if table is None or len(table.dts) != len(stream.index_entries):
        return None
    try:
        return _checked(table, reading)
    except (av.FFmpegError, DamagedError):
        return None


def _read_table(path: str, track: int) -> _Table | None:
    """The samples of one track, None where its tables are not simple, not complete or do not agree."""
    boxes = _find_track(path, track)
    if boxes is None or {b"mvex", b"sbgp", b"stps"} & boxes.keys() or not _has_one_plain_edit(boxes):
        return None
    sizes = _sizes(boxes[b"stsz"])
    durations = _runs(boxes[b"stts"], ">u4")
    offsets = _runs(boxes[b"ctts"], ">i4") if b"ctts" in boxes else np.zeros(len(sizes), np.int64)
    if not len(sizes) == len(durations) == len(offsets) or not (sizes > 0).all():
        return None
    if not _lies_in_file(boxes, sizes, os.path.getsize(path)):
        return None
    key = np.full(len(sizes), b"stss" not in boxes)
    if b"stss" in boxes:
        key[_numbers(boxes[b"stss"], ">u4", 8) - 1] = True
    return _Table(np.cumsum(durations) - durations, offsets, durations, key)


def _checked(table: _Table, reading: Reading) -> Packets | None:
    """The table as packets, where it agrees with FFmpeg's index and with packets read here and there."""
    container, stream, _ = reading.shared(threads=1)
    entries, keys = stream.index_entries, np.flatnonzero(table.key)
    if not len(keys):
        return None
    shift = int(table.dts[0]) - entries[0].timestamp
    dts = table.dts - shift
    among = np.unique(np.concatenate([keys, np.linspace(0, len(dts) - 1, 4096).astype(np.int64)])).tolist()
    for place in among:
        entry = entries[place]
        if (entry.timestamp, bool(entry.is_keyframe), bool(entry.is_discard)) != (dts[place], table.key[place], False):
            return None
    first = next((packet for packet in demux(container, stream) if packet.size), None)
    if first is None or first.pts is None:
        return None
    pts = dts + table.offsets + (first.pts - int(dts[0] + table.offsets[0]))
    packets = Packets(pts, dts, table.durations, table.key, np.ones(len(pts), np.bool_), 0, np.empty(0, np.int64), "")
    probes = keys[np.linspace(0, len(keys) - 1, _PROBES).astype(np.int64)].tolist()
    return packets if all(_is_as_told(packets, place, place == keys[-1], reading) for place in probes) else None


def _is_as_told(packets: Packets, first: int, to_the_end: bool, reading: Reading) -> bool:
    """Whether some packets from an I-frame on, or all to the end of the file, are sound and as the tables say."""
    stream = reading.shared(threads=1).stream
    there = reading.packets_from(int(packets.pts[first]), int(packets.dts[first]), threads=1)
    place = first - 1
    for place, packet in enumerate(there if to_the_end else islice(there, _A_PROBE), first):
        told = place < len(packets) and (packets.pts[place], packets.dts[place], packets.key[place])
        if told != (packet.pts, packet.dts, packet.is_keyframe) or not is_sound(packet, stream):
            return False
    return not to_the_end or place == len(packets) - 1


def _find_track(path: str, track: int) -> _Boxes | None:
    """The boxes of the video track of that number, by name; None where the file is in fragments or has no such."""
    with open(path, "rb") as file:
        tops = list(islice(_top_boxes(file, os.path.getsize(path)), _MAX_BOXES))
        found = [(at, length) for name, at, length in tops if name == b"moov" and length <= _MOOV_BYTES]
        if len(found) != 1 or any(name == b"moof" for name, _, _ in tops):
            return None
        file.seek(found[0][0])
        moov = memoryview(file.read(found[0][1]))
    for name, content in _children(moov):
        if name == b"mvex":
            return None
        if name == b"trak":
            boxes = dict(_leaves(content))
            header = boxes[b"tkhd"]
            if struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0] == track:
                return boxes
    return None


def _top_boxes(file: Any, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, length) of the contents of the boxes of a file; ValueError where one is cut off."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(file.read(8), "big"), 16
        length = length or size - at
        if length < head or at + length > size:
            raise ValueError(f"box {name!r} is cut off")
        yield name, at + head, length - head
        at += length


def _children(box: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(box):
        length, name = struct.unpack_from(">I4s", box, at)
        if length < 8 or at + length > len(box):
            raise ValueError(f"box {name!r} is cut off")
        yield name, box[at + 8 : at + length]
        at += length


def _leaves(box: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    for name, content in _children(box):
        if name in _ROOMS:
            yield from _leaves(content)
        else:
            yield name, content


def _numbers(box: memoryview, kind: str, at: int) -> NDArray[np.int64]:
    """All numbers of a table from this byte on, as many as the four bytes before say."""
    (count,) = struct.unpack_from(">I", box, at - 4)
    return np.frombuffer(box, kind, count, at).astype(np.int64)


def _runs(box: memoryview, kind: str) -> NDArray[np.int64]:
    """One value a sample of a table of (samples, value)."""
    (count,) = struct.unpack_from(">I", box, 4)
    pairs = np.frombuffer(box, [("many", ">u4"), ("value", kind)], count, 8)
    if pairs["many"].sum(dtype=np.int64) > _MOOV_BYTES:
        raise ValueError("a table of more samples than it can have")
    return np.repeat(pairs["value"].astype(np.int64), pairs["many"].astype(np.int64))


def _sizes(box: memoryview) -> NDArray[np.int64]:
    same, count = struct.unpack_from(">II", box, 4)
    if same:
        raise ValueError("samples of one size are no coded pictures")
    return np.frombuffer(box, ">u4", count, 12).astype(np.int64)


def _lies_in_file(boxes: _Boxes, sizes: NDArray[np.int64], length: int) -> bool:
    """Every chunk of samples begins and ends inside the file, and together they hold all samples."""
    wide = b"co64" in boxes
    chunks = _numbers(boxes[b"co64" if wide else b"stco"], ">u8" if wide else ">u4", 8)
    (count,) = struct.unpack_from(">I", boxes[b"stsc"], 4)
    runs = np.frombuffer(boxes[b"stsc"], ">u4", 3 * count, 8).reshape(count, 3).astype(np.int64)
    many = np.repeat(runs[:, 1], np.diff(np.append(runs[:, 0], len(chunks) + 1)))
    if len(many) != len(chunks) or many.sum() != len(sizes):
        return False
    ends = np.concatenate([[0], np.cumsum(sizes)])[np.cumsum(many)]
    return bool((chunks + np.diff(np.concatenate([[0], ends])) <= length).all() and (chunks > 0).all())


def _has_one_plain_edit(boxes: _Boxes) -> bool:
    """No edit list, or one edit at normal speed; whether it hides frames is seen in FFmpeg's index."""
    if b"elst" not in boxes:
        return True
    edits = boxes[b"elst"]
    (count,) = struct.unpack_from(">I", edits, 4)
    start, rate = struct.unpack_from(">qI" if edits[0] == 1 else ">iI", edits, 16 if edits[0] == 1 else 12)
    return bool(count == 1 and start >= 0 and rate == 0x10000)
