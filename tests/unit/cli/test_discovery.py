"""Applications are found by reading, not by running."""

from __future__ import annotations

from pathlib import Path

from cgk_jobs.cli.discovery import find_applications

CODE = "import cgk_jobs\nraise SystemExit('run')\njobs = cgk_jobs.Jobs()\n"


def put(folder: Path, **files: str) -> None:
    for name, code in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


def test_every_way_to_write_one_is_found(tmp_path: Path) -> None:
    put(
        tmp_path,
        shop=CODE,
        deep__er__work="from cgk_jobs import Jobs\nboth: Jobs = Jobs('embedded')\n",
        src__package__jobs="from cgk_jobs import Jobs\na = b = Jobs()\n",
    )
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "__init__.py").write_text(CODE)
    assert find_applications(tmp_path) == [
        "deep.er.work:both",
        "package.jobs:a",
        "package.jobs:b",
        "shop:jobs",
        "whole:jobs",
    ]


def test_what_is_no_application_is_passed_over(tmp_path: Path) -> None:
    put(
        tmp_path,
        other="from elsewhere import Jobs\njobs = Jobs()\n",
        inside="from cgk_jobs import Jobs\ndef make():\n    jobs = Jobs()\n",
        broken="import cgk_jobs\njobs = Jobs(\n",
        tests__conftest=CODE,
        test_shop=CODE,
        node_modules__x=CODE,
    )
    put(tmp_path / ".venv", x=CODE)
    (tmp_path / "latin.py").write_bytes(b"# cgk_jobs Jobs( \xe9\xff\n")
    assert find_applications(tmp_path) == []
