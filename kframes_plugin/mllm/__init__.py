"""A multimodal model of transformers: load it, give it frames, let it write, read its frame scores."""
