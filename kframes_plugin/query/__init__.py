"""What a request says about time: start, end, within, and the words of a query. Text and numbers only."""
