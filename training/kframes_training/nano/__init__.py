"""nano, the small model that comes with kframes: built, taught and measured from nothing.

recipe.py       every stage, resumable: ``python -m kframes_training.nano recipes/nano.yaml --out runs/nano``
model.py        a tiny Qwen2.5-VL, its tokenizer and processor
vision.py       stage 0: a tower that sees; frame_attributes.py: frames and words in one space
data.py         batches of stages 1 and 2: scenes of train videos put into new orders; encoding.py: rows as tokens
training.py     the trainer of those stages; dense.py: its loss
answerer.py     the frozen answerer of stage 3
"""
