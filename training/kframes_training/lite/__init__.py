"""lite, the bundled selector for real footage: makes its files from published weights."""
