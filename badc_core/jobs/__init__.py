"""Jobs as plain files: who ran what, when, with which settings, and with which result.

A job is a folder; its manifest says what every stage read and wrote. All of it can be read with
`ls`, `jq` and a text editor, and nothing of it needs the Dagster database.
"""

from badc_core.jobs.environment import stage_environment
from badc_core.jobs.job_manager import JobManager
from badc_core.jobs.manifest_files import is_stage_completed, load_manifest
from badc_core.jobs.pipeline_manifest import PipelineManifest
from badc_core.jobs.stage_manifest import StageManifest
from badc_core.jobs.stage_script import exit_codes
from badc_core.jobs.verifying import find_stages_to_repeat

__all__ = [
    "JobManager",
    "PipelineManifest",
    "StageManifest",
    "exit_codes",
    "find_stages_to_repeat",
    "is_stage_completed",
    "load_manifest",
    "stage_environment",
]
