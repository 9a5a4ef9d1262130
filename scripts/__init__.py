"""What the project's tasks run."""
