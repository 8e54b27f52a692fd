"""How scenes are grouped into chapters: boundary F1 of every method, thresholds chosen on SynthScenes' train split.

    python benchmarks/peakclips_chapters.py [--videos 100]

The true scenes are taken, with the oracle's captions and the colours of drawn frames. What a threshold is worth on
detected scenes of other videos is measured by benchmarks/peakclips.py.
"""

from __future__ import annotations

import argparse
from random import Random

import numpy as np
from kframes_training.sources.peakclips.chapters import THRESHOLDS, group, inner_ends_f1
from kframes_training.sources.peakclips.media import colour_shares
from kframes_training.sources.synthscenes import paint, sample_video
from kframes_training.sources.synthscenes.language import caption_scene
from kframes_training.sources.synthscenes.world import Video
from PIL import Image

GRID = [round(0.05 * step, 2) for step in range(1, 19)]


def scenes_of(video: Video) -> tuple[list[str], list[list[float]]]:
    """Captions of the scenes, and their colours in five drawn frames of the middle half."""
    rng = Random(f"chapters {video.id}")
    captions = [caption_scene(scene, rng) for scene in video.scenes]
    colours = []
    for scene in video.scenes:
        times = [scene.start + (0.3 + 0.1 * i) * (scene.end - scene.start) for i in range(5)]
        small = [np.asarray(Image.fromarray(paint(video, time, (64, 48))).resize((32, 32))) for time in times]
        colours.append(np.mean([colour_shares(picture) for picture in small], axis=0).tolist())
    return captions, colours


def main() -> None:
    """Print the mean F1 of every method and threshold, and the best one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=100)
    videos = [sample_video(seed) for seed in range(500_000, 500_000 + parser.parse_args().videos)]
    inputs = [scenes_of(video) for video in videos]
    for method in THRESHOLDS:
        means = {}
        for limit in GRID:
            scores = []
            for video, (captions, colours) in zip(videos, inputs, strict=True):
                found = group(captions, colours, method, limit)
                ours = [(video.scenes[part[0]].start, video.scenes[part[-1]].end) for part in found]
                scores.append(inner_ends_f1(ours, [(part[0].start, part[-1].end) for part in video.chapters]))
            means[limit] = float(np.mean(scores))
        best = max(means, key=means.__getitem__)
        print(f"{method:20} best {best:.2f}: {means[best]:.3f}   " + " ".join(f"{v:.2f}" for v in means.values()))


if __name__ == "__main__":
    main()
