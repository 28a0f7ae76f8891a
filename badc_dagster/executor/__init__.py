"""An executor that leases devices to steps."""

from badc_dagster.executor.gpu_executor import gpu_executor

__all__ = ["gpu_executor"]
