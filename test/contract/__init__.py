"""What the library promises as a whole."""
