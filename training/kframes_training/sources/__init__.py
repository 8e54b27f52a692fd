"""Where rows come from: synthscenes/ (videos drawn by program) and peakclips/ (labels of real videos)."""
