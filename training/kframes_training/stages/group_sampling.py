"""GRPO for a small model: what the answers to one prompt share is computed once.

TRL's GRPOTrainer copies a prompt for every answer; each copy's images are prepared twice, then seen by the vision tower
and read by the language model for sampling, for the reference and for the policy. With 64 images and 8 answers that is
nearly all of the time. ``SharesPrompts`` sees the images of a prompt once, reads the prompt once per model, and expands
its keys and values to the answers. Tokens are still written by ``generate``, and log-probabilities come from TRL's own
head, so the numbers stay the same (tests compare them, and the gradients).

For one process, Qwen2.5-VL, and without activation checkpointing (which forbids a cache): off by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, Qwen2_5_VLForConditionalGeneration
from trl.models import unwrap_model_for_generation

from kframes_training.stages.shared_prompt import Prompts, distinct, pad_left, score, write


@contextmanager
def once_per_image(processor: Any) -> Iterator[None]:
    """Within the block the processor prepares an image once, however often it comes in one call."""
    own = processor.image_processor
    processor.image_processor = OncePerImage(own)
    try:
        yield
    finally:
        processor.image_processor = own


class OncePerImage:
    """An image processor that prepares an image once, however often it comes in one call; all else is passed on."""

    def __init__(self, image_processor: Any) -> None:
        self.image_processor = image_processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.image_processor, name)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        flat = [image for item in images for image in (item if isinstance(item, list) else [item])]
        once = {id(image): image for image in flat}
        number = {key: index for index, key in enumerate(once)}
        out = self.image_processor(list(once.values()), *args, **kwargs)
        where = [number[id(image)] for image in flat]
        patches = out["pixel_values"].split(out["image_grid_thw"].prod(-1).tolist())
        out["pixel_values"] = torch.cat([patches[index] for index in where])
        out["image_grid_thw"] = out["image_grid_thw"][where]
        return out


class SharesPrompts:
    """Mix into a GRPOTrainer (before it); written for TRL 1.16.

    Raises:
        ValueError: several processes, activation checkpointing, vLLM, or a model that is no Qwen2.5-VL.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trainer: Any = self
        policy = _plain(trainer, trainer.model)
        if problem := _cannot_share(trainer, policy):
            raise ValueError(f"answers cannot share their prompt with {problem}; use share_prompts=False")
        self._vision_cache: list[tuple[Any, Tensor, Tensor]] = []
        if trainer.ref_model is not None:
            reference = _plain(trainer, trainer.ref_model)
            if _frozen(policy) and _same(policy.model.visual, reference.model.visual):
                reference.model.visual = policy.model.visual  # what one has seen serves both

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        trainer: Any = self
        with once_per_image(trainer.processing_class):
            out: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        return out

    def _see(self, model: Any, prompts: Prompts) -> list[Tensor]:
        """The vision tokens of every prompt; with a frozen tower they are kept until the next sampling."""
        vision = []
        for pixels, grid in zip(prompts.pixels, prompts.grids, strict=True):
            kept = [s for tower, p, s in self._vision_cache if tower is model.model.visual and torch.equal(p, pixels)]
            tokens = kept[0] if kept else torch.cat(model.get_image_features(pixels, grid).pooler_output)
            if not kept and _frozen(model):
                self._vision_cache.append((model.model.visual, pixels, tokens))
            vision.append(tokens)
        return vision

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: dict[str, Any], *others: Any, **more: Any
    ) -> tuple[list[list[int]], None]:
        """As GRPOTrainer's: the tokens written for every row."""
        trainer: Any = self
        self._vision_cache.clear()
        ids = pad_left(prompt_ids, trainer._tokenizer.pad_token_id)
        types = pad_left(multimodal_fields["mm_token_type_ids"], 0)
        mask = pad_left([[1] * len(line) for line in prompt_ids], 0)
        fields = [ids, mask, types, multimodal_fields["pixel_values"], multimodal_fields["image_grid_thw"]]
        ids, mask, types, pixels, grid = (field.to(trainer.accelerator.device) for field in fields)
        prompts = distinct(ids, mask, types, pixels, grid, [len(row) for row in images])
        with (
            torch.no_grad(),
            unwrap_model_for_generation(
                trainer.model_wrapped, trainer.accelerator, generation_kwargs=trainer.generation_kwargs
            ) as unwrapped,
            trainer.accelerator.autocast(),
        ):
            model = _plain(trainer, unwrapped)
            written = write(model, prompts, self._see(model, prompts), trainer.generation_config)
        return [_ended(line, trainer.eos_token_ids) for line in written.tolist()], None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        *,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        num_images: Sequence[int],
        mm_token_type_ids: Tensor,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """As GRPOTrainer's: (B, C) log-probabilities and entropies of the last ``logits_to_keep`` tokens."""
        trainer: Any = self
        length = input_ids.shape[1] - logits_to_keep
        prompts = distinct(
            input_ids[:, :length],
            attention_mask[:, :length],
            mm_token_type_ids[:, :length],
            pixel_values,
            image_grid_thw,
            num_images,
        )
        plain = _plain(trainer, model)
        with trainer.accelerator.autocast():
            logps, entropies = score(
                plain, model, prompts, self._see(plain, prompts), input_ids[:, length:], attention_mask[:, length:]
            )
        return logps, entropies if compute_entropy else None, None


def _plain(trainer: Any, model: Any) -> Any:
    """The model without what accelerate and peft put around it (an adapter works inside its layers)."""
    model = trainer.accelerator.unwrap_model(model)
    return model.get_base_model() if hasattr(model, "peft_config") else model


def _cannot_share(trainer: Any, model: Any) -> str:
    if trainer.accelerator.num_processes > 1:
        return f"{trainer.accelerator.num_processes} processes (it knows one)"
    if trainer.args.gradient_checkpointing:
        return "gradient_checkpointing, which keeps no keys and values"
    if trainer.use_vllm:
        return "vLLM, which has its own sharing"
    if not isinstance(model, Qwen2_5_VLForConditionalGeneration):
        return f"a {type(model).__name__} (it knows Qwen2_5_VLForConditionalGeneration)"
    return ""


def _frozen(model: Any) -> bool:
    return not any(parameter.requires_grad for parameter in model.model.visual.parameters())


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def _ended(ids: list[int], stops: Sequence[int]) -> list[int]:
    """The ids up to and with the first that ends an answer."""
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids) - 1)
    return ids[: end + 1]
