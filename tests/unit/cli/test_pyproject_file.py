"""Editing pyproject.toml without touching what is somebody else's."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cgk_jobs.cli.pyproject_file import difference, with_settings, write_text
from cgk_jobs.errors import NotConfigured


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[tool.cgk-jobs]\napp = "a:b"\n'),
        ("[project]\nname = 'x' # y", "[project]\nname = 'x' # y\n\n[tool.cgk-jobs]\napp = \"a:b\"\n"),
        (
            '[tool.cgk-jobs]  # jobs\nsynchronous = "full"\n\n[tool.ruff]\napp = 1\n',
            '[tool.cgk-jobs]  # jobs\napp = "a:b"\nsynchronous = "full"\n\n[tool.ruff]\napp = 1\n',
        ),
        ('[tool.cgk-jobs]\napp = "old:one"  # gone\nx = 1\n', '[tool.cgk-jobs]\napp = "a:b"\nx = 1\n'),
        ("[tool . 'cgk-jobs']\n", "[tool . 'cgk-jobs']\napp = \"a:b\"\n"),
        ("[project]\r\nname = 'x'\r\n", "[project]\r\nname = 'x'\r\n\r\n[tool.cgk-jobs]\r\napp = \"a:b\"\r\n"),
    ],
)
def test_only_the_key_changes(before: str, after: str) -> None:
    assert with_settings(before, {"app": "a:b"}) == after


def test_several_keys_stand_in_the_order_given() -> None:
    assert with_settings("", {"app": "a:b", "provider": "embedded"}).splitlines()[1:] == [
        'app = "a:b"',
        'provider = "embedded"',
    ]


@pytest.mark.parametrize(
    "before",
    [
        "[tool]\ncgk-jobs = { app = 'x:y' }\n",
        "tool.cgk-jobs.synchronous = 'full'\n",
        '[a]\ntext = """\n[tool.cgk-jobs]\n"""\n',
    ],
)
def test_what_cannot_be_edited_safely_is_left_to_people(before: str) -> None:
    tomllib.loads(before)
    with pytest.raises(NotConfigured, match=r"write app = \"a:b\" under \[tool\.cgk-jobs\] yourself"):
        with_settings(before, {"app": "a:b"})


def test_a_broken_file_is_named() -> None:
    with pytest.raises(NotConfigured, match="no TOML"):
        with_settings("[project\n", {"app": "a:b"})


def test_writing_keeps_the_mode_and_the_link_and_leaves_nothing_beside(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "pyproject.toml"
    link.symlink_to(real)
    write_text(link, "new\r\n")
    assert real.read_bytes() == b"new\r\n"
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyproject.toml", "real.toml"]


def test_the_difference_names_what_is_added() -> None:
    assert [line for line in difference("a\n", "a\nb\n") if line.startswith("+") and "pyproject" not in line] == ["+b"]
