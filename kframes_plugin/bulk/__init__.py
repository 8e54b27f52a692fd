"""Many videos and many queries: worker processes, results on disk, errors that end nothing but their own item."""

from kframes_plugin.bulk.requests import Failure as Failure
from kframes_plugin.bulk.requests import Request as Request
