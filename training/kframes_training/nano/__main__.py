"""``python -m kframes_training.nano``."""

from kframes_training.nano.recipe import main

main()
