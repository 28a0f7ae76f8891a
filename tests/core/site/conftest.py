"""A dataset to which tests add recordings with results, and a browser for its pages."""

import pytest
from support.browser import open_browser
from support.workbench import open_workbench, workbench

__all__ = ["open_workbench", "workbench"]


@pytest.fixture
def browser(lacking):
    with open_browser(lacking) as opened:
        yield opened
