"""SynthScenes: long videos drawn by program, with the truth about everything in them.

video = sample_video(seed)              what happens: chapters, scenes, objects, motions (world.py)
paint(video, 12.5, (56, 56))            the picture on screen at 12.5 s (paint.py)
queries(video.scenes, rng)              questions to a selector, with scores and reasons (language.py)
questions(video.scenes, rng)            multiple-choice questions to an answerer (language.py)
video_row(video), query_row(...)        the same as PeakClips rows (rows.py)
write_video(video, "file.mp4")          a real H.264 file (video_file.py)
"""

from kframes_training.sources.synthscenes.language import Query, Question, queries, questions
from kframes_training.sources.synthscenes.paint import paint, paint_scene
from kframes_training.sources.synthscenes.rows import make_clips, qa_row, query_row, video_row
from kframes_training.sources.synthscenes.video_file import write_video
from kframes_training.sources.synthscenes.world import SPLITS, Scene, Thing, Video, sample_video

__all__ = [
    "SPLITS",
    "Query",
    "Question",
    "Scene",
    "Thing",
    "Video",
    "make_clips",
    "paint",
    "paint_scene",
    "qa_row",
    "queries",
    "query_row",
    "questions",
    "sample_video",
    "video_row",
    "write_video",
]
