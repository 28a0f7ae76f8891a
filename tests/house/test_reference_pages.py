"""The reference pages in docs/ say what the code says."""

import runpy
from pathlib import Path

import pytest

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_PAGES = runpy.run_path(str(_DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", sorted(_PAGES))
def test_a_reference_page_is_what_the_code_would_write_today(name):
    assert (_DOCS / name).read_text(encoding="utf-8") == _PAGES[name](), "run: make docs"
