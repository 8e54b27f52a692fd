"""kframes for LlamaIndex: a reader, a retriever, a postprocessor, and a multimodal embedding.

>>> from kframes_llama_index import KFramesReader, KFramesRetriever  # doctest: +SKIP
>>> SimpleDirectoryReader("videos", file_extractor=KFramesReader("lite", "goals").for_videos())  # doctest: +SKIP
>>> RetrieverQueryEngine.from_args(KFramesRetriever(kf, videos), llm=llm, multimodal=True)  # doctest: +SKIP
"""

import llama_index.core  # noqa: F401 - the gate: without the host there is no integration

from kframes_llama_index.embedding import OpenCLIPEmbedding
from kframes_llama_index.postprocessor import KFramesPostprocessor
from kframes_llama_index.reader import KFramesReader
from kframes_llama_index.retriever import KFramesRetriever

__all__ = ["KFramesPostprocessor", "KFramesReader", "KFramesRetriever", "OpenCLIPEmbedding"]
