"""A dataset to which tests add recordings with results."""

from support.workbench import open_workbench, workbench

__all__ = ["open_workbench", "workbench"]
