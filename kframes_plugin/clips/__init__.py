"""Pure geometry of time: what clips are, how k is spent on them, where scenes and cuts lie."""
