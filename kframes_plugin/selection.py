"""Selection: what ``KFrames.select`` gives back: clips, exactly k keyframes, cost and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kframes_plugin.clips.allocation import DEFAULT, Allocation
from kframes_plugin.errors import KFramesError
from kframes_plugin.output.messages import LONG_SIDE, QUALITY, chat_messages, openai_messages, video_metadata, vllm_data
from kframes_plugin.types import Clip, Cost, Frame, Span, Strategy

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from kframes_plugin.video import OpenVideo

SCHEMA = "kframes.selection/1"


@dataclass(frozen=True)
class SamplingOptions:
    """How the frames of a selection are drawn, so that ``resample`` can draw others in the same way.

    Attributes:
        strategy: the strategy asked for; "auto" is decided anew for every k.
        allocation: weights and shares.
        frame_size: size of the keyframes as for :meth:`OpenVideo.frames_at`; None is the size of the video.
        video_options: keyword arguments of :class:`OpenVideo`.
        within: spans, seconds, from which all frames come as long as they hold k; none: the whole video.
    """

    strategy: Strategy = "auto"
    allocation: Allocation = DEFAULT
    frame_size: int | tuple[int, int] | None = None
    video_options: Mapping[str, Any] = field(default_factory=dict)
    within: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Key clips and keyframes of one video for one query.

    Attributes:
        video: path of the video; "" where frames were given instead.
        query: the query.
        k: frames asked for, >= 1.
        strategy: the strategy that was used: "focused", "hybrid" or "uniform".
        clips: the clips the selector chose, best first; may be empty.
        frames: min(k, frames in the video) distinct keyframes in time order.
        cost: frames decoded, model calls, tokens, seconds.
        notes: what was out of the ordinary, one sentence each.
        duration: length of the video, seconds.
        scenes: scenes seen in the candidate frames: spans that part [0, duration).
        candidates: timestamps of the candidate frames, seconds, ascending.
        sampling: how the frames were drawn.
    """

    video: str
    query: str
    k: int
    strategy: Strategy
    clips: tuple[Clip, ...]
    frames: tuple[Frame, ...]
    cost: Cost
    notes: tuple[str, ...]
    duration: float
    scenes: tuple[Span, ...] = ()
    candidates: tuple[float, ...] = ()
    sampling: SamplingOptions = field(default=SamplingOptions(), repr=False)
    _opened: OpenVideo | None = field(default=None, repr=False, compare=False)

    @property
    def timestamps(self) -> list[float]:
        """Times of the keyframes, seconds, ascending."""
        return [frame.timestamp for frame in self.frames]

    @property
    def images(self) -> list[Image.Image]:
        """The keyframes as RGB images, in time order."""
        return [frame.image for frame in self.frames]

    def resample(self, k: int | None = None, strategy: Strategy | None = None) -> Selection:
        """Draw another number of frames from the same clips; no model is called.

        Args:
            k: frames wanted, >= 1; as before when None.
            strategy: another strategy; as asked for before when None ("auto" is decided anew for the new k).

        Raises:
            ValueError: k < 1 or an unknown strategy.
            VideoError: the video cannot be opened again.
        """
        from kframes_plugin.keyframes import redraw

        return redraw(self, self.k if k is None else k, strategy or self.sampling.strategy)

    def to_messages(self, question: str | None = None, *, reasons: bool = False) -> list[dict[str, Any]]:
        """One user message for a chat model: the time of every frame as text, the frame, and at the end the question.

        Args:
            question: what the answerer is asked; the query when None.
            reasons: put the clips with their reasons before the question. Off, since they make answers worse
                (Video-MME at k = 32: 57.7 with reasons, 65.1 without; arXiv 2510.13891).
        """
        return chat_messages(self, question, reasons=reasons)

    def to_openai(
        self, question: str | None = None, *, reasons: bool = False, long_side: int = LONG_SIDE, quality: int = QUALITY
    ) -> list[dict[str, Any]]:
        """:meth:`to_messages` for OpenAI's chat completions and every compatible server: images as JPEG data URLs.

        Args:
            question, reasons: as for :meth:`to_messages`.
            long_side: pixels; larger frames are scaled down.
            quality: of the JPEGs, 1 to 95.
        """
        return openai_messages(self.to_messages(question, reasons=reasons), long_side=long_side, quality=quality)

    def to_vllm(self, *, repeat: int = 1) -> dict[str, Any]:
        """vLLM's ``multi_modal_data``: the frames as one video with their true times, not to be sampled again.

        For families that write the time of every frame (Qwen3-VL, GLM-4.xV, Gemma 4 ...); :meth:`to_openai` is right
        for all. The prompt needs the family's own mark for one video.

        Args:
            repeat: pass every frame that often; 2 for models that fuse frames in pairs (Qwen-VL, GLM-V).

        Returns:
            ``{"video": [(frames, metadata)]}``, frames (n * repeat, height, width, 3) uint8.
        """
        return vllm_data(self, repeat=repeat)

    def video_metadata(self, *, repeat: int = 1) -> dict[str, Any]:
        """What a transformers processor must know of the frames as one video: ``VideoMetadata(**metadata)``.

        Pass it in ``processor_kwargs={"do_sample_frames": False, "video_metadata": [metadata]}``. The grid is one
        index a millisecond, so times are right for videos of variable frame rate too.

        Args:
            repeat: as for :meth:`to_vllm`.
        """
        return video_metadata(self.frames, self.duration, repeat=repeat)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as plain JSON values."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("frames", "sampling", "_opened")}
        plain |= {
            "schema": SCHEMA,
            "clips": [asdict(clip) for clip in self.clips],
            "frames": [{"timestamp": frame.timestamp, "duration": frame.duration} for frame in self.frames],
            "cost": asdict(self.cost),
            "sampling": asdict(self.sampling),
        }
        jsonable: dict[str, Any] = json.loads(json.dumps(plain))
        return jsonable

    def save(self, directory: str | Path) -> Path:
        """Write ``selection.json`` and one JPEG a keyframe (quality 95) to a directory, made if missing; returns it."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        plain = self.to_dict()
        for number, (frame, entry) in enumerate(zip(self.frames, plain["frames"], strict=True), 1):
            entry["file"] = f"frame_{number:04d}_{frame.timestamp:09.3f}s.jpg"
            frame.image.save(folder / entry["file"], quality=95)
        text = json.dumps(plain, indent=1, ensure_ascii=False)
        (folder / "selection.json").write_text(text + "\n", encoding="utf-8")
        return folder

    @staticmethod
    def load(directory: str | Path) -> Selection:
        """Read what :meth:`save` wrote.

        Raises:
            KFramesError: the directory holds no selection, or one of a schema that this version does not know.
        """
        from PIL import Image

        folder = Path(directory)
        try:
            plain = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
            if plain.pop("schema", None) != SCHEMA:
                raise KFramesError(f"{folder}: selection.json is not of the schema {SCHEMA}; save it anew")
            frames = []
            for entry in plain.pop("frames"):
                # the name only: a selection from elsewhere must not name files outside its folder
                with Image.open(folder / Path(entry["file"]).name) as image:
                    frames.append(Frame(entry["timestamp"], entry["duration"], image.convert("RGB")))
            sampling = plain.pop("sampling")
            sampling["allocation"] = Allocation(**sampling["allocation"])
            sampling["within"] = tuple((start, end) for start, end in sampling.get("within", ()))
            if isinstance(sampling["frame_size"], list):
                sampling["frame_size"] = tuple(sampling["frame_size"])
            return Selection(
                frames=tuple(frames),
                clips=tuple(Clip(**clip) for clip in plain.pop("clips")),
                cost=Cost(**plain.pop("cost")),
                notes=tuple(plain.pop("notes")),
                scenes=tuple((start, end) for start, end in plain.pop("scenes")),
                candidates=tuple(plain.pop("candidates")),
                sampling=SamplingOptions(**sampling),
                **plain,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise KFramesError(f"{folder}: no selection can be read here ({error}); write one with save()") from error

    def timeline(self) -> Figure:
        """The video as a picture: scenes, clips by priority, candidates and keyframes over time (matplotlib)."""
        from kframes_plugin.output.report import timeline

        return timeline(self)

    def contact_sheet(self, columns: int = 4, width: int = 320) -> Image.Image:
        """All keyframes on one sheet, each with its time and clip; ``width`` is that of one picture in pixels."""
        from kframes_plugin.output.report import contact_sheet

        return contact_sheet(self, columns, width)

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained HTML page: timeline, clips with reasons, keyframes, cost and notes."""
        from kframes_plugin.output.report import write_html

        return write_html(self, path)
