"""Image-text similarity: candidate frames that look like the query (open_clip, or a model of your own).

Each candidate gets the cosine of its picture and the query; ``relevance.py`` makes clips of these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.clips.from_scores import RelevanceRule, clips_from_scores
from kframes_plugin.errors import SelectorError, needs_extra, only_selector_errors
from kframes_plugin.mllm.weights import check_folder
from kframes_plugin.prompt import duration_of
from kframes_plugin.selectors.models import is_open_clip
from kframes_plugin.text import quoted
from kframes_plugin.types import Candidates, Cost, Frame, Note, Prediction

log = logging.getLogger("kframes")

# Cosines this close together tell nothing. A guess: no CLIP weights were at hand to measure how far real ones spread.
SIMILARITY = RelevanceRule(flat=0.002)
DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
SAFE_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")


class SimilaritySelector:
    """Clips where the picture is like the query.

    Between two queries on one :class:`Candidates` the embeddings of the pictures are kept, so a second query only
    embeds its text. What a clip's ``score`` says is relative: 1 is the best of this video, 0 its usual level.

    Args:
        embed_images: pictures (RGB) -> (n, d) embeddings; called with at most ``batch_size`` at a time.
        embed_text: text -> (d,) embedding.
        candidates: T, candidate frames it wants to see.
        frame_size: their long side, pixels.
        batch_size: pictures a call, >= 1.
        template: what is embedded for a query; "{}" is the query as it is. "a photo of {}" suits queries of one word.
        rule: how similarities become clips.
        is_cut: text -> whether the model reads only its beginning; None: it reads all.
        embedding_key: names model and weights, so that :meth:`KFrames.search` can keep embeddings; "": it cannot.

    Attributes:
        snap_to_cuts: True: its clips end at candidates.
    """

    snap_to_cuts = True

    def __init__(
        self,
        embed_images: Callable[[list[Image.Image]], ArrayLike],
        embed_text: Callable[[str], ArrayLike],
        *,
        candidates: int = 256,
        frame_size: int = 224,
        batch_size: int = 32,
        template: str = "{}",
        rule: RelevanceRule = SIMILARITY,
        is_cut: Callable[[str], bool] | None = None,
        embedding_key: str = "",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}")
        if "{}" not in template:
            raise ValueError(f'template must have "{{}}" where the query goes; got {template!r}')
        self.embed_images = embed_images
        self.embed_text = embed_text
        self.candidates = candidates
        self.frame_size = frame_size
        self.batch_size = batch_size
        self.template = template
        self.rule = rule
        self.is_cut = is_cut
        self.embedding_key = embedding_key

    @classmethod
    def from_pretrained(
        cls, name: str, *, device: str | None = None, dtype: str = "auto", batch_size: int = 32, **options: Any
    ) -> Self:
        """Load a model of open_clip; weights from safetensors only.

        Args:
            name: "ARCH/TAG" as in ``open_clip.list_pretrained()`` ("ViT-B-32/laion2b_s34b_b79k"); "ARCH/FILE" with a
                path to a .safetensors file; a directory with open_clip_config.json ("local-dir:" before it is
                allowed); or "hf-hub:ORG/REPO".
            device: "cpu", "cuda", "cuda:1" ...; None: the GPU where there is one.
            dtype: "float32", "bfloat16", "float16"; "auto": float16 on a GPU, float32 on a CPU.
            batch_size: pictures a call of the model, >= 1.
            options: keyword arguments of :class:`SimilaritySelector`.

        Raises:
            SelectorError: it cannot be loaded; the message says what to do.
            ValueError: an unknown dtype.
        """
        model = OpenCLIP(name, device, dtype)
        options = {
            "frame_size": model.frame_size,
            "is_cut": model.is_cut,
            "embedding_key": f"openclip-{name}",
            **options,
        }
        return cls(model.embed_images, model.embed_text, batch_size=batch_size, **options)

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips, best first.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Raises:
            SelectorError: the model gives embeddings that are not finite or do not fit together.
        """
        images, calls = self._image_features(frames)
        text = self.template.replace("{}", query)
        similarity = self._compare(images, text)
        times = [frame.timestamp for frame in frames]
        clips = clips_from_scores(similarity, times, duration_of(frames), rule=self.rule, word="similarity")
        notes = []
        if self.is_cut is not None and self.is_cut(text):
            notes.append(Note("query-cut", "the query is longer than the model reads; its end was not used"))
        if not clips:
            low, high = similarity.min(), similarity.max()
            text = f"no candidate frame stands out for the query (similarity {low:.3f} to {high:.3f})"
            notes.append(Note("nothing-found", text))
        return Prediction(clips, notes=notes, cost=Cost(candidates=len(frames), model_calls=calls + 1))

    def scores(self, frames: Sequence[Frame], query: str) -> NDArray[np.float32]:
        """(n,) cosines of the frames with the query; embeddings that are kept are not made again."""
        return self._compare(self._image_features(frames)[0], self.template.replace("{}", query))

    def embed(self, frames: Sequence[Frame], /) -> NDArray[np.float32]:
        """(n, d) embeddings of n frames, of length 1; see :class:`~kframes_plugin.types.FrameEmbedder`."""
        return self._embed(frames)[0]

    def score_embedded(
        self, rows: NDArray[np.floating[Any]], query: str, /, *, scenes: NDArray[np.int64]
    ) -> NDArray[np.floating[Any]]:
        """(n,) cosines of kept rows with the query; scenes count for nothing."""
        return self.score_compared(self.compare_rows(rows, query), query, scenes=scenes)

    def compare_rows(self, rows: NDArray[np.floating[Any]], query: str, /) -> NDArray[np.float32]:
        """(n, 1) cosines; see :class:`~kframes_plugin.types.RowComparer`."""
        return self._compare(np.asarray(rows, np.float32), self.template.replace("{}", query))[:, None]

    def score_compared(
        self, compared: NDArray[np.floating[Any]], query: str, /, *, scenes: NDArray[np.int64]
    ) -> NDArray[np.floating[Any]]:
        """(n,) cosines."""
        return compared[:, 0]

    def doubt_compared(self, compared: NDArray[np.floating[Any]], query: str, /, *, seconds: float) -> Note | None:
        """All cosines are alike. How high that of an answer is depends on the model, so no more is known."""
        low, high = float(compared.min()), float(compared.max())
        if len(compared) == 1 or high - low > self.rule.flat:
            return None
        return Note("nothing-found", f"no frame stands out for the query (similarity {low:.3f} to {high:.3f})")

    def _compare(self, images: NDArray[np.float32], text: str) -> NDArray[np.float32]:
        """(n, d) of length 1 and a text -> (n,) cosines."""
        words = _unit(np.asarray(self.embed_text(text), np.float32).reshape(1, -1), "the query")[0]
        if images.shape[1] != len(words):
            raise SelectorError(
                f"image and text embeddings must have the same width; got {images.shape[1]} and {len(words)}: take "
                "both callables from one model"
            )
        similarity: NDArray[np.float32] = images @ words
        return similarity

    def _image_features(self, frames: Sequence[Frame]) -> tuple[NDArray[np.float32], int]:
        """(n, d) embeddings of length 1, and the model calls they took."""
        cache = frames.cache if isinstance(frames, Candidates) else {}
        if self in cache:
            kept: NDArray[np.float32] = cache[self]
            return kept, 0
        cache[self], calls = self._embed(frames)
        return cache[self], calls

    def _embed(self, frames: Sequence[Frame]) -> tuple[NDArray[np.float32], int]:
        batches = [frames[start : start + self.batch_size] for start in range(0, len(frames), self.batch_size)]
        parts = []
        for batch in batches:
            stop_if_cancelled()
            parts.append(np.asarray(self.embed_images([frame.image for frame in batch]), np.float32))
        features = np.concatenate(parts)
        if features.ndim != 2 or len(features) != len(frames):
            raise SelectorError(f"embed_images must return (n, d), one row per picture; got {features.shape} in all")
        return _unit(features, "the candidate frames"), len(batches)


def _unit(rows: NDArray[np.float32], of: str) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = int((~np.isfinite(lengths) | (lengths == 0)).sum())
    if bad:
        raise SelectorError(
            f"{bad} of {len(rows)} embeddings of {of} are not finite or all zero; use dtype='float32', or check the "
            "model's weights"
        )
    units: NDArray[np.float32] = rows / lengths
    return units


class OpenCLIP:
    """A loaded model of open_clip. Arguments and errors as in :meth:`SimilaritySelector.from_pretrained`."""

    def __init__(self, name: str, device: str | None, dtype: str) -> None:
        with needs_extra("torch", f"the open_clip model {name!r}"):
            import torch
            from open_clip import get_input_dtype
            from open_clip.transform import PreprocessCfg, image_transform_v2

        if dtype not in ("auto", *DTYPES):
            raise ValueError(f"dtype must be one of auto, {', '.join(DTYPES)}; got {dtype!r}")
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if dtype == "auto":
            dtype = "float32" if self.device == "cpu" else "float16"
        with only_selector_errors(f"cannot load the open_clip model {quoted(name)}"):
            source, self.model = _load(name, self.device, DTYPES[dtype])
            self.tokenizer = _tokenizer(source)
        settings = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self.preprocess = image_transform_v2(settings, is_train=False)
        self.input_dtype = get_input_dtype(DTYPES[dtype])
        # Most models scale the short side to their input and crop: twice that keeps a 16:9 picture sharp
        side = settings.size if isinstance(settings.size, int) else max(settings.size)
        self.frame_size = side * (2 if settings.resize_mode == "shortest" else 1)

    def embed_images(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """Pictures -> (n, d).

        Raises:
            SelectorError: the GPU's memory is too small for so many.
        """
        import torch

        batch = torch.stack([self.preprocess(image) for image in images]).to(self.device, self.input_dtype)
        try:
            with torch.inference_mode():
                features: NDArray[np.float32] = self.model.encode_image(batch).float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise SelectorError(
                f"the GPU has not enough memory for {len(images)} pictures at once; lower batch_size"
            ) from error
        return features

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Text -> (d,)."""
        import torch

        with torch.inference_mode():
            features: NDArray[np.float32] = (
                self.model.encode_text(self.tokenizer([text]).to(self.device)).float().cpu()[0].numpy()
            )
        return features

    def is_cut(self, text: str) -> bool:
        """Whether the last word is not read: the tokens are the same without it."""
        shorter = text.rsplit(None, 1)[0]
        return shorter != text and bool((self.tokenizer([text]) == self.tokenizer([shorter])).all())


def _load(name: str, device: str, precision: str) -> tuple[str, Any]:
    """The name that open_clip knows the model by, and the model with its weights, ready for use."""
    from open_clip import create_model, load_checkpoint

    source, settings, weights = _resolve(name)
    # open_clip itself takes a pickled .bin where a repository or folder has one, and downloads it where it is told the
    # tag. So it is told the tag's settings only, the weights are loaded here, and its warnings that there are none, or
    # which of several it takes (in the root logger), are not true
    root = logging.getLogger()
    root.addFilter(_is_true)
    try:
        model = create_model(
            source,
            load_weights=False,
            precision=precision,
            device=device,
            force_quick_gelu=bool(settings.get("quick_gelu")),
            force_preprocess_cfg=settings,
            pretrained_text=False,
        )
    finally:
        root.removeFilter(_is_true)
    load_checkpoint(model, str(weights), strict=True)
    return source, model.eval()


def _is_true(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("No pretrained weights loaded", "Multiple checkpoints found"))


def _resolve(name: str) -> tuple[str, dict[str, Any], Path]:
    """Name -> what open_clip builds the model from, the settings of its weights, and their safetensors file."""
    from open_clip import get_pretrained_cfg, list_models, list_pretrained_tags_by_model

    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if name.startswith("local-dir:") or folder.is_dir():
        return f"local-dir:{folder}", {}, _file_in(folder)
    if name.startswith("hf-hub:"):
        weights = _download(name.removeprefix("hf-hub:"))
        return f"local-dir:{weights.parent}" if is_open_clip(weights.parent) else name, {}, weights
    arch, _, tag = name.partition("/")
    if arch not in list_models():
        near = get_close_matches(arch, list_models(), n=3, cutoff=0.5)
        known = f"near to it: {', '.join(near)}" if near else "see open_clip.list_models()"
        raise ValueError(f"open_clip has no architecture {arch!r}; {known}")
    if tag.endswith((".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")):
        return arch, {}, _safe(Path(tag).expanduser())
    settings = get_pretrained_cfg(arch, tag)
    if not settings:
        tags = ", ".join(list_pretrained_tags_by_model(arch)) or "none"
        raise ValueError(f"{arch} has no weights {tag!r}; write ARCH/TAG with one of {tags}, or ARCH/FILE.safetensors")
    return arch, settings, _download(settings["hf_hub"].rsplit("/", 1)[0])


def _file_in(folder: Path) -> Path:
    if not (folder / "open_clip_config.json").is_file():
        raise FileNotFoundError(f"{folder} has no open_clip_config.json; give the directory of a saved open_clip model")
    check_folder(folder)
    files = sorted(folder.glob("*.safetensors"), key=lambda file: (file.name not in SAFE_NAMES, file.name))
    if not files:
        raise FileNotFoundError(f"{folder} has no .safetensors file; save the weights with safetensors.torch.save_file")
    return files[0]


def _safe(file: Path) -> Path:
    if file.suffix != ".safetensors":
        raise ValueError(
            f"{file.name} may hold code; convert it once, where you trust it: "
            "safetensors.torch.save_file(torch.load(file, weights_only=True), 'weights.safetensors')"
        )
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}; check the path")
    return file


def _tokenizer(source: str) -> Any:
    """The tokenizer of what open_clip knows as ``source``; without a request where its files are in the local cache."""
    from open_clip import get_model_config, get_tokenizer

    architecture = None if ":" in source else get_model_config(source)
    if architecture is not None and architecture.get("text_cfg", {}).get("hf_tokenizer_name"):
        try:
            return get_tokenizer(source, local_files_only=True)
        except OSError:
            log.info("the tokenizer of %s is not in the local cache: asking the hub", source)
    return get_tokenizer(source)


def _download(repository: str) -> Path:
    """The safetensors file of a repository of the hub; from its local cache, without a request, where it is there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in SAFE_NAMES:
        kept = try_to_load_from_cache(repository, name)
        if isinstance(kept, str):
            return Path(kept)
    for name in SAFE_NAMES:
        try:
            return Path(hf_hub_download(repository, name))
        except LocalEntryNotFoundError as error:
            raise ConnectionError(
                f"{repository} is not in the local cache and the hub cannot be reached; check the network, or first "
                f"run `hf download {repository}` where there is one"
            ) from error
        except EntryNotFoundError:
            continue  # the next name
    raise FileNotFoundError(f"{repository} has none of {', '.join(SAFE_NAMES)}; choose other weights")
