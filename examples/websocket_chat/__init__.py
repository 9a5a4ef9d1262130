"""An agent that is chatted with in a browser: its answer streams in, and it says what it is doing."""
