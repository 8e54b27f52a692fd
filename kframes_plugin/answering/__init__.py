"""Answers to questions about a video: the frames of a selection, given to any answering model."""

from kframes_plugin.answering.answerers import Answerer, load_answerer
from kframes_plugin.answering.answers import Answer, answer_question

__all__ = ["Answer", "Answerer", "answer_question", "load_answerer"]
