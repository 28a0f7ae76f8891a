"""Steps on a Slurm cluster: arrays of tasks, what they leave behind, and who follows them.

A step's recordings are packed into tasks (`packing.py`), submitted as arrays (`script.py`,
`commands.py`), analysed on nodes (`node.py`) and followed by one process (`array_run.py`). All that
passes between host and nodes are files in a folder of the run (`run_folder.py`).
"""
