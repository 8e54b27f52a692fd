"""Sizes that VP8 and VP9 packets claim, read before libvpx allocates: it has no limit, and 65536 x 65536 take 6 GB.

VP8: RFC 6386, 9.1. VP9: the uncompressed header of the bitstream specification 0.6, 6.2, and superframes, annex B.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet

_ALPHA: Any = "matroska_block_additional"  # 8 bytes of a number, then a packet of the same codec


def most_pixels_of(decoder: str, packet: Packet[Any]) -> int:
    """Pixels of the largest picture whose size a packet for libvpx states, its alpha channel's also; 0 for none."""
    codec = {"libvpx": "vp8", "libvpx-vp9": "vp9"}[decoder]
    parts = [bytes(packet)]
    if hasattr(packet, "has_sidedata") and packet.has_sidedata(_ALPHA):
        parts.append(bytes(packet.get_sidedata(_ALPHA))[8:])
    return max(most_pixels(codec, part) for part in parts)


def most_pixels(codec: str, packet: bytes) -> int:
    """Pixels of the largest picture whose size a packet states; 0 where it states none."""
    frames = [packet] if codec == "vp8" else _split_superframe(packet)
    read = _read_vp8_size if codec == "vp8" else _read_vp9_size
    return max((width * height for width, height in map(read, frames)), default=0)


def _read_vp8_size(frame: bytes) -> tuple[int, int]:
    if len(frame) < 10 or frame[0] & 1:  # only key frames have a size
        return 0, 0
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF


def _split_superframe(packet: bytes) -> Iterator[bytes]:
    """The frames of a packet: several where it ends with an index of their lengths, which has its mark at both ends."""
    mark = packet[-1] if packet else 0
    each, count = (mark >> 3 & 3) + 1, (mark & 7) + 1
    index = 2 + each * count
    if mark & 0xE0 != 0xC0 or len(packet) < index or packet[-index] != mark:
        yield packet
        return
    at = 0
    for place in range(count):
        start = len(packet) - index + 1 + each * place
        length = int.from_bytes(packet[start : start + each], "little")
        yield packet[at : at + length]
        at += length


class _Bits:
    """The first bits of a frame, most significant first; zeros behind its end."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data[:32].ljust(32, b"\0"), "big"), 256

    def read(self, count: int) -> int:
        self._left -= count
        return self._bits >> self._left & ((1 << count) - 1)


def _read_vp9_size(frame: bytes) -> tuple[int, int]:
    bits = _Bits(frame)
    bits.read(2)
    profile = bits.read(1) + 2 * bits.read(1)
    if profile == 3:
        bits.read(1)
    if bits.read(1):  # shows a frame that is there
        return 0, 0
    inter, shown, resilient = bits.read(1), bits.read(1), bits.read(1)
    if not inter:
        bits.read(24)  # the mark of a key frame
        _skip_colours(bits, profile)
        return _size(bits)
    intra_only = 0 if shown else bits.read(1)
    if not resilient:
        bits.read(2)
    if intra_only:
        bits.read(24)
        if profile:
            _skip_colours(bits, profile)
        bits.read(8)
        return _size(bits)
    bits.read(8 + 3 * 4)
    for _ in range(3):
        if bits.read(1):  # as large as another
            return 0, 0
    return _size(bits)


def _size(bits: _Bits) -> tuple[int, int]:
    return bits.read(16) + 1, bits.read(16) + 1


def _skip_colours(bits: _Bits, profile: int) -> None:
    if profile >= 2:
        bits.read(1)
    subsampled = profile in (1, 3)
    if bits.read(3) == 7:  # RGB
        bits.read(1 if subsampled else 0)
    else:
        bits.read(4 if subsampled else 1)
