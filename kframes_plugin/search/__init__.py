"""Many videos: an index on disk of what their frames show and what is said, and clips of the best for a query."""

from kframes_plugin.search.hits import Hit as Hit
from kframes_plugin.search.hits import Hits as Hits
from kframes_plugin.search.searcher import Searcher as Searcher
from kframes_plugin.search.store import NAME as NAME
