"""How files of videos are called, where a folder is walked; an opened file's name says nothing."""

SUFFIXES = (
    *(".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv", ".gif"),
    *(".3gp", ".3g2", ".qt", ".f4v", ".mk3d", ".asf", ".divx", ".mpe", ".m2v", ".mpv", ".vob", ".m2ts", ".mts", ".m2t"),
    *(".ogm", ".mxf", ".rm", ".rmvb", ".wtv", ".dv", ".nut", ".ivf", ".obu", ".av1", ".h264", ".264", ".h265", ".265"),
    *(".hevc", ".vvc", ".vc1", ".y4m", ".mjpeg", ".mjpg", ".amv", ".nsv", ".swf", ".bik", ".smk", ".roq", ".apng"),
)
