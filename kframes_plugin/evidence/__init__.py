"""Evidence: what is said and what stands on screen, ranked against a query and joined with what is seen. Pure.

terms.py     words made comparable: case, plural, letters that OCR mixes up
ranking.py   which passages of a transcript, or of the text on screen, answer a query, and how surely
fusion.py    clips of one query from looks, words and text together
near.py      the lines near some times
"""
