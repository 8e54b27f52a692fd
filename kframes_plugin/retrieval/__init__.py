"""Retrieve, then ground: a cheap scorer sees many frames of a video of hours and names where to look closely."""

from kframes_plugin.retrieval.retriever import Retriever as Retriever
from kframes_plugin.retrieval.session import Looked as Looked
from kframes_plugin.retrieval.session import Retrieval as Retrieval
