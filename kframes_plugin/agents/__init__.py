"""kframes as a tool that a language model calls, and the files it may name."""
