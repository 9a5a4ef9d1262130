"""What documents show to be written into files."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def write_files(document: str, folder: Path) -> list[str]:
    """Write each file that a document of docs/ shows into a folder, and give their names."""
    shown = FILE.findall((ROOT / "docs" / document).read_text(encoding="utf-8"))
    for name, content in shown:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return [name for name, _ in shown]
