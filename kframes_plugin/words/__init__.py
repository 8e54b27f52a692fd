"""Words of a video, read: subtitles inside the file, subtitle files beside it, speech, text on screen.

    options.py     where the words come from
    transcript.py  the lines that are spoken, on the clock of the first frame
    embedded.py    subtitle streams inside the file
    files.py       subtitle files beside the video
    screen.py      text on screen, by OCR
    speech.py      lines of a recogniser of speech
    video_words.py the words of one opened video, read once
    languages.py   one language, several codes

Nothing here ranks or chooses: that is ``evidence/``.
"""
