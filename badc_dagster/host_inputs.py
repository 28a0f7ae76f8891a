"""The inputs of a step, computed on the host from the asset graph and the registry.

What they are is in `badc_core/stages/step_inputs.py`.
"""

from collections.abc import Sequence

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.provenance.annex import fetch
from badc_core.provenance.fetching import require_fetched_all
from badc_core.recordings.registry import read_rows
from badc_core.stages.fingerprints import Fingerprints
from badc_core.stages.stage import STAGES
from badc_core.stages.step_inputs import RecordingInput, StepInputs
from badc_dagster.fingerprint_tags import REGISTRY_VERSION, recorded_event_ids
from badc_dagster.known_fingerprints import read_known_fingerprints
from badc_dagster.partitions import asset_key

_REGISTRY_ASSET = "recordings"


def input_names(stage: str) -> tuple[str, ...]:
    """Returns the names of the assets that a stage's asset depends on."""
    return STAGES[stage].inputs or (_REGISTRY_ASSET,)


class HostInputs:
    """What the asset graph and the registry know about the recordings of a step.

    It reads what concerns these recordings only, so it takes as long in a large archive.

    Raises:
        DetectorMissing, ConfigInvalid: nothing can be run under these settings.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        stage: str,
        recording_ids: Sequence[str],
    ) -> None:
        self._dataset = dataset
        self._stage = STAGES[stage]
        self._recording_ids = recording_ids
        self._keys = {name: asset_key(connection, name) for name in input_names(stage)}
        sources = self._stage.inputs
        known = read_known_fingerprints(instance, connection, dataset, recording_ids, sources)
        self._versions = {name: known.of(dataset, name) for name in sources}
        self._event_ids = {
            name: recorded_event_ids(instance, self._keys[name], recording_ids) for name in sources
        }

    def step_inputs(self, run_id: str) -> StepInputs:
        """Returns the step's inputs.

        Raises:
            ContentMissing: the table of stations is annexed, and could not be fetched.
        """
        # What the fingerprints are found out from; its other files the step fetches itself.
        dataset = self._dataset
        require_fetched_all([dataset.registry, dataset.deployments])
        fetch(dataset.recording(one) for one in self._recording_ids)
        fingerprints = Fingerprints(self._dataset)
        find = self._from_inputs if self._stage.inputs else self._from_files
        return StepInputs(
            stage=self._stage.name,
            root=self._dataset.root,
            settings=self._dataset.settings,
            work_folder=self._dataset.work_folder,
            run_id=run_id,
            recordings=tuple(find(fingerprints)),
        )

    def input_tags(self, recording_id: str) -> dict[str, str]:
        """Returns what was read; without both, the UI calls partitions of a range run unsynced."""
        tags: dict[str, str] = {}
        for name, key in self._keys.items():
            versions = self._versions.get(name)
            version = REGISTRY_VERSION if versions is None else versions.get(recording_id, "")
            pointer = self._event_ids.get(name, {}).get(recording_id, "NULL")
            asset = key.to_user_string()
            tags[f"dagster/input_data_version/{asset}"] = version
            tags[f"dagster/input_event_pointer/{asset}"] = str(pointer)
        return tags

    def _from_inputs(self, fingerprints: Fingerprints) -> list[RecordingInput]:
        found: list[RecordingInput] = []
        for one in self._recording_ids:
            sources = (self._versions[name].get(one, "") for name in self._stage.inputs)
            choices = fingerprints.choices(self._stage.name, one)
            fingerprint = fingerprints.of(self._stage.name, *sources, *choices)
            found.append(RecordingInput(one, fingerprint))
        return found

    def _from_files(self, fingerprints: Fingerprints) -> list[RecordingInput]:
        rows = read_rows(self._dataset.registry, self._recording_ids)
        found: list[RecordingInput] = []
        for one in self._recording_ids:
            row = rows.get(one)
            fingerprint = ""
            if row is not None and row.fingerprint:
                source = fingerprints.of_row(row)
                fingerprint = fingerprints.of(self._stage.name, source)
            found.append(RecordingInput(one, fingerprint, registered=row))
        return found
