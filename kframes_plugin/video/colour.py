"""From HDR and wide-gamut pictures to the RGB that people and models know: BT.709 colours, sRGB curve.

FFmpeg's own way (``zscale``, ``tonemap``, ``zscale``) is not used: PyAV's wheels lack zscale. The maths is that of
the standards: PQ and HLG as in ITU-R BT.2100-2, tables 4 and 5 (HLG for a display of 1000 cd/m2, gamma 1.2); reference
white, 203 cd/m2, as in ITU-R BT.2408; BT.2020 to BT.709 as in ITU-R BT.2087. Highlights are rolled off by the Moebius
curve of FFmpeg's ``vf_tonemap`` for a peak without end: up to 80 % of reference white nothing changes, and reference
white itself becomes 90 % of white (sRGB 243). Light is looked up for each of the 256 values of a picture that is
scaled already. (Pillow's 3D tables are twice as fast and wrong by up to 20 of 255 on greys: their corners are colours.)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from av.video.frame import VideoFrame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# Numbers of ITU-T H.273, tables 2 and 3, as FFmpeg writes them.
_HDR = {16: "PQ", 18: "HLG"}
_TO_BT709 = {
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),  # BT.2020
    12: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),  # Display P3
}
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
_WHITE = 203.0  # cd/m2
_KNEE = 0.8  # of reference white: below, light stays as it is
_FINE = 4096  # values of light that are told apart when it is written


def find_hdr(frame: VideoFrame) -> str:
    """The curve of a frame with a high dynamic range: "PQ" or "HLG"; "" for the usual range."""
    return _HDR.get(_colours_of(frame)[0], "")


def needs_mapping(frame: VideoFrame) -> bool:
    """Whether the frame's RGB is other than BT.709 colours in the usual range, and :func:`to_sdr` changes it."""
    return bool(find_hdr(frame)) or _colours_of(frame)[1] in _TO_BT709


def remember_colours(frames: Iterable[VideoFrame], context: Any) -> None:
    """Have frames know their curve and colours by their decoder where PyAV does not say them of a frame (15, 16)."""
    if not hasattr(VideoFrame, "color_trc"):
        for frame in frames:
            frame.opaque = int(context.color_trc), int(context.color_primaries)


def _colours_of(frame: Any) -> tuple[int, int]:
    """The numbers of its curve and of its primary colours; 2 is unknown."""
    if hasattr(frame, "color_trc"):
        return int(frame.color_trc), int(frame.color_primaries)
    return frame.opaque if frame.opaque is not None else (2, 2)


def to_sdr(rgb: NDArray[np.uint8], frame: VideoFrame) -> NDArray[np.uint8]:
    """The picture of a frame in BT.709 colours and the usual range.

    Args:
        rgb: (h, w, 3) the frame's own RGB, of any size.
        frame: says its curve and its colours.
    """
    hdr, matrix = find_hdr(frame), _TO_BT709.get(_colours_of(frame)[1])
    light = _light_of(hdr)[rgb]
    if hdr == "HLG":
        light *= 1000 / _WHITE * np.maximum(light @ _LUMINANCE, 1e-9)[..., None] ** 0.2  # the display's curve
    if matrix is not None:
        light = np.maximum(light @ np.asarray(matrix, np.float32).T, 0)
    if hdr:
        peak = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
        light *= _roll_off(peak) / peak  # the largest of R, G and B sets the scale, so that hues stay
    return _srgb_values()[(np.sqrt(np.minimum(light, 1)) * (_FINE - 1)).astype(np.uint16)]


@lru_cache(maxsize=3)
def _light_of(hdr: str) -> Floats:
    """(256,) the light of each value, 1.0 = reference white; of HLG the light of the scene."""
    read = {"PQ": _read_pq, "HLG": _read_hlg, "": _read_srgb}[hdr]
    return read(np.linspace(0.0, 1.0, 256)).astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_values() -> NDArray[np.uint8]:
    """(4096,) values of light, by its square root."""
    light = np.linspace(0.0, 1.0, _FINE) ** 2
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * curve).astype(np.uint8)


def _read_pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    return np.asarray(10000.0 * (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1) / _WHITE)


def _read_hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _read_srgb(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _roll_off(light: Floats) -> Floats:
    """At most 1.0: light above the knee is bent, without a corner."""
    near = (1 - _KNEE) ** 2
    return np.where(light <= _KNEE, light, 1 - near / np.maximum(light - 2 * _KNEE + 1, 1 - _KNEE))
