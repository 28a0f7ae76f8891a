"""Commands of `badc` that need the asset graph; added through the entry points `badc.commands`.

Nothing here imports Dagster before a command runs, so that `badc --help` stays fast.
"""
