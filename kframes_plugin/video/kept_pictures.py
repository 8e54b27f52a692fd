"""Pictures that were decoded, kept for the next question: least recently used go first when memory is short."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from kframes_plugin.video.decoder import Size

PIXEL_BYTES = 4  # of an RGB picture in Pillow


class KeptPictures:
    """Decoded pictures of one video by rank and size.

    Attributes:
        limit: bytes of pictures that may be kept, >= 0.
        held: bytes that are kept now.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"kept_bytes must be at least 0; got {limit}")
        self.limit, self.held = limit, 0
        self._pictures: OrderedDict[tuple[int, Size], Image.Image] = OrderedDict()

    def find(self, ranks: Iterable[int], size: Size) -> dict[int, Image.Image]:
        """The pictures that are kept of these ranks, by rank."""
        found = {}
        for rank in ranks:
            if (picture := self._pictures.get((rank, size))) is not None:
                self._pictures.move_to_end((rank, size))
                found[rank] = picture
        return found

    def find_largest(self, ranks: Collection[int]) -> dict[int, Image.Image]:
        """The largest picture that is kept of each of these ranks, of any size, by rank."""
        largest: dict[int, Image.Image] = {}
        for (rank, _), picture in self._pictures.items():
            if rank in ranks and (rank not in largest or picture.width > largest[rank].width):
                largest[rank] = picture
        return largest

    def keep(self, rank: int, size: Size, picture: Image.Image) -> None:
        """Keep one more picture; the ones that were not used for longest go if there is no room."""
        if (rank, size) in self._pictures or _bytes(picture) > self.limit:
            return
        self._pictures[rank, size] = picture
        self.held += _bytes(picture)
        while self.held > self.limit:
            self.held -= _bytes(self._pictures.popitem(last=False)[1])

    def clear(self) -> None:
        """Let go of all."""
        self._pictures.clear()
        self.held = 0


def _bytes(picture: Image.Image) -> int:
    return picture.width * picture.height * PIXEL_BYTES
