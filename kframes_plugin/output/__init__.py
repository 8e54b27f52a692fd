"""A selection for models and people: messages, documents, report. Functions of plain values."""
