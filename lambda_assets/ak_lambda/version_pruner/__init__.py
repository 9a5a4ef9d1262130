"""Deletes published versions that nobody needs any more, and says why it keeps the others."""
