"""Pipelines of stages that people describe in a TOML file: any programs, one job at a time.

What the stages did is in the job's manifest (`badc_core/jobs/`). The stages of bird detection are
elsewhere: `badc_core/stages/`.
"""

from badc_core.pipelines.stage_call import (
    DeviceNeeded,
    StageCall,
    StageReport,
    StageSkipped,
)

__all__ = ["DeviceNeeded", "StageCall", "StageReport", "StageSkipped"]
