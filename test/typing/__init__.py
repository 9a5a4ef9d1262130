"""The public names as users write them. Nothing runs this: mypy and pyright read it, by `uv run projen types`."""
