"""kframes for LangChain: a tool for agents, a loader, a retriever, and a middleware for providers that need it.

>>> from kframes_langchain import KFramesTool  # doctest: +SKIP
>>> agent = create_agent(model, tools=[KFramesTool(kframes=kf, allowed_paths=["videos"])])  # doctest: +SKIP
"""

import langchain_core  # noqa: F401 - the gate: without the host there is no integration

from kframes_langchain.documents import KFramesLoader, KFramesRetriever
from kframes_langchain.middleware import ImagesAfterTools, KeepLastImages
from kframes_langchain.tool import KFramesTool

__all__ = ["ImagesAfterTools", "KFramesLoader", "KFramesRetriever", "KFramesTool", "KeepLastImages"]
