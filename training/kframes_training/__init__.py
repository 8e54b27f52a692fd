"""Training and measuring: SynthScenes, the three stages, rewards. Needs the extra ``train``."""
