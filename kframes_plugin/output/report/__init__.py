"""The report: one HTML file without network or dependency that shows what was found, and re-allocates any k itself.

page.html, page.css and page.js are the page; allocation.js is the port of the allocation. page.py fills the page in,
film.py is what it knows of the video, pictures.py chooses the pictures that it holds, clock.py packs times.
"""
