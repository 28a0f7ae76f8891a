"""What tests of several folders are made of; a module for each subject, found as `support.NAME`.

What only one folder needs stands in that folder. Nothing here imports Dagster, since tests of the
core run where there is none.
"""
