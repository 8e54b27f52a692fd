"""The three stages on TRL: SFT 1 and 2 (sft.py), GRPO (grpo.py); finetune.py runs them on a large model."""
