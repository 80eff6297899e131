"""Reading the documents, and running what is printed in them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

__all__ = ["ROOT", "blocks", "environment"]

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code of a page in one language, or in one of several: ``a|b``."""
    return re.findall(rf"```(?:{language})\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def environment() -> dict[str, str]:
    """This process's environment without settings, its commands first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOBS_", "DATABASE_URL"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}
