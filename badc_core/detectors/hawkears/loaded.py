"""HawkEars' analyzer kept in memory, for `worker.py` and in its environment.

HawkEars loads its networks again at every call. Here the classes that load are replaced, in the
modules that use them, by ones that load once; `badc hawkears check` compares that with HawkEars'
own command. Tried with hawkears 2.3.0 and britekit 1.8.4. Nothing of BADC is imported here.
"""

import math
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")
_WARM_UP_S = 3
_WARM_UP_HZ = 44_100

Task = dict[str, Any]
Reply = dict[str, Any]


class Refusal(Exception):
    """The setup cannot be used."""


class NoResult(Exception):
    """A recording that is long enough was passed over."""


class LoadedHawkEars:
    """HawkEars' analyzer, loaded once.

    Args:
        setup: `data_root`, `models`, `low_band`, `block_size`, `min_score`; `region`, an eBird
            region for recordings whose place is not known, may be empty; `scratch`, a folder for
            temporary files.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        from britekit.core.util import (  # type: ignore[import-not-found]  # noqa: PLC0415
            get_device,
        )
        from hawkears.core import analyzer  # type: ignore[import-not-found]  # noqa: PLC0415
        from hawkears.core.config_loader import (  # type: ignore[import-not-found]  # noqa: PLC0415
            get_config,
        )

        self._loaded_predictors = _keep_what_is_loaded()
        self.device: str = get_device()
        self._region: str | None = setup["region"] or None
        self._config = get_config(data_root=setup["data_root"])
        self._config.infer.max_models = setup["models"]
        self._config.infer.num_threads = 1
        self._config.infer.block_size = setup["block_size"]
        self._config.infer.min_score = setup["min_score"]
        self._config.hawkears.low_band_classifier = setup["low_band"]
        self._analyzer = analyzer.Analyzer(self._config)
        self._predictor = analyzer.Predictor(self._config.misc.ckpt_folder, cfg=self._config)
        self._predictor.save_manifest = _save_nothing
        self._block_size = int(setup["block_size"])
        self._scratch: str = setup["scratch"]
        self._notes: list[str] = []
        if self._region is not None:
            self._check_region(self._region)

    @property
    def classes(self) -> list[list[str]]:
        """Code, common and scientific name of every class, as HawkEars reports them."""
        known = self._analyzer.class_mgr.all_classes()
        return [
            [one.code, one.name, one.alt_name if one.alt_name not in {None, one.name} else ""]
            for one in known
        ]

    @property
    def networks(self) -> list[str]:
        """The identifiers of the main networks."""
        return [str(model.identifier) for model in self._predictor.models]

    def analyze(self, task: Task) -> Reply:
        """Returns what is in a recording.

        Args:
            task: `path`, `output` (a folder for what HawkEars writes), `duration_s`, and where
                known `latitude`, `longitude`, `date`.

        Returns:
            `detections`: rows of start_s, end_s, code, score, is_expected, occurrence; `notes`;
            `peak_vram_mib`.
        """
        self._notes = []
        self._set_block_size(min(self._block_size, self._n_spectrograms(task["duration_s"])))
        while True:
            try:
                rows = self._run(task)
                break
            except Exception as error:
                if not is_out_of_memory(error) or self._config.infer.block_size == 1:
                    raise
                self._halve_block_size()
        return {
            "detections": rows,
            "notes": self._notes,
            "peak_vram_mib": _peak_vram_mib(self.device),
        }

    def warm_up(self) -> None:
        """Analyses a generated sound, so that what is wrong shows before the first recording."""
        with tempfile.TemporaryDirectory(prefix="hawkears-", dir=self._scratch) as folder:
            path = Path(folder) / "warm-up.wav"
            _write_beep(path)
            self.analyze({"path": str(path), "output": folder, "duration_s": _WARM_UP_S})

    def _run(self, task: Task) -> list[list[Any]]:
        """Analyses once, in the state that a fresh process would be in."""
        # What the low-band classifier leaves behind are the settings before the checkpoints'.
        self._predictor.audio.set_config(self._predictor.cfg, resample=False)
        place = self._place(task)
        result = self._analyzer.run(
            task["path"],
            task["output"],
            ["csv"],
            quiet=True,
            return_results=True,
            occurrence_metadata=None if place is None else {task["path"]: place},
        )
        if not self._analyzer.result_dataframes:
            self._explain_nothing(task["duration_s"])
        found = [
            [one.start_time, one.end_time, one.species, one.score] for one in result.detections
        ]
        rare: list[list[Any]] = []
        for table in self._analyzer.rarities_dataframes:
            columns = table[["start_time", "end_time", "name", "score"]]
            rare += columns.to_numpy(dtype=object).tolist()
        expectations = _Expectations(self._analyzer, task["path"], place)
        self._notes += expectations.notes
        return [[*row, *expectations.of(row[2], is_rare=False)] for row in found] + [
            [*row, *expectations.of(row[2], is_rare=True)] for row in rare
        ]

    def _explain_nothing(self, duration_s: float) -> None:
        """Notes that a recording is too short for a table; raises if it is not."""
        if duration_s >= float(self._predictor.cfg.audio.spec_duration):
            raise NoResult(f"HawkEars gave no table for {duration_s:g} s of sound")
        self._notes.append(f"HawkEars cannot analyse {duration_s:g} s: too short")

    def _place(self, task: Task) -> dict[str, Any] | None:
        """Returns where and when, as HawkEars expects it; None where that is not known."""
        when = {"recorded_at": task.get("date")}
        if task.get("latitude") is not None and task.get("longitude") is not None:
            return {"latitude": task["latitude"], "longitude": task["longitude"], **when}
        if self._region is not None:
            return {"region_code": self._region, **when}
        return None

    def _check_region(self, region: str) -> None:
        from hawkears.core import (  # noqa: PLC0415
            occurrence_manager,
        )

        provider = occurrence_manager.OccurrencePickleProvider(
            self._config.hawkears.occurrence_pickle
        )
        if not provider.find_counties(region):
            raise Refusal(f"eBird knows no region {region!r} where HawkEars has data")

    def _n_spectrograms(self, duration_s: float) -> int:
        window_s = float(self._predictor.cfg.audio.spec_duration)
        return math.ceil(duration_s / window_s) + 1

    def _halve_block_size(self) -> None:
        if self.device == "cuda":
            import torch  # type: ignore[import-not-found]  # noqa: PLC0415

            torch.cuda.empty_cache()
        self._block_size = max(1, self._config.infer.block_size // 2)
        self._set_block_size(self._block_size)
        self._notes.append(f"out of memory: block_size is {self._block_size} from here on")

    def _set_block_size(self, n_spectrograms: int) -> None:
        self._config.infer.block_size = n_spectrograms
        for predictor in self._loaded_predictors:
            predictor.cfg.infer.block_size = n_spectrograms


class _Expectations:
    """How usual a species is at a recording's place and date, by HawkEars' occurrence data."""

    def __init__(self, analyzer: Any, path: str, place: dict[str, Any] | None) -> None:
        self.notes: list[str] = []
        self._manager = None if place is None else analyzer.occur_mgr
        self._class_mgr = analyzer.class_mgr
        self._path = path
        if place is not None:
            ((self._region, self._week),) = analyzer.occur_mgr.file_info.values()
            if self._region is None:
                self._manager = None
                self.notes.append(
                    f"no eBird county at {place['latitude']:g}, {place['longitude']:g}: "
                    "nothing is known of what to expect there"
                )

    def of(self, code: str, *, is_rare: bool) -> tuple[bool | None, float | None]:
        """Returns whether a species is expected and how often it is reported; None if unknown."""
        info = self._class_mgr.class_info_by_code(code)
        if self._manager is None or info.model_name not in self._manager.class_name_set:
            return None, None
        _, has_reports, _ = self._manager.provider.occurrence_value(
            class_name=info.model_name, region_code=self._region, week_num=self._week
        )
        value = float(self._manager.get_value(self._path, info.model_name))
        if not has_reports and not is_rare:  # a region without any data
            return None, None
        return not is_rare, min(1.0, value)


def _keep_what_is_loaded() -> list[Any]:
    """Makes HawkEars load its networks and tables once instead of for every recording.

    Returns:
        The predictors loaded so far, main and low-band; grows as they are loaded.
    """
    from hawkears.core import (  # noqa: PLC0415
        analyzer,
        occurrence_manager,
    )
    from hawkears.heuristics.canada import (  # type: ignore[import-not-found]  # noqa: PLC0415
        low_band,
        main,
    )

    predictors: list[Any] = []
    for module in (analyzer, low_band):
        module.Predictor = _once(module.Predictor, predictors.append)
    main.LowBandHeuristics = _once(main.LowBandHeuristics)
    occurrence_manager.OccurrencePickleProvider = _once(occurrence_manager.OccurrencePickleProvider)
    return predictors


def _once(load: Callable[..., Any], on_load: Callable[[Any], None] | None = None) -> Any:
    """Returns a function that calls `load` once and then returns the same object."""
    loaded: list[Any] = []

    def again(*arguments: Any, **named: Any) -> Any:
        if not loaded:
            loaded.append(load(*arguments, **named))
            if on_load is not None:
                on_load(loaded[0])
        return loaded[0]

    return again


def _save_nothing(*_arguments: Any) -> None:
    """Replaces writing a manifest, which costs a tenth of a second for each chunk."""


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error is a device's lack of memory, however it is worded."""
    kinds, text = {"OutOfMemoryError", "MemoryError"}, str(error).lower()
    return type(error).__name__ in kinds or any(words in text for words in _NO_MEMORY)


def _peak_vram_mib(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch  # noqa: PLC0415

    return float(torch.cuda.max_memory_allocated()) / (1 << 20)


def _write_beep(path: Path) -> None:
    beep = [
        round(8000 * math.sin(2 * math.pi * 3000 * index / _WARM_UP_HZ))
        for index in range(_WARM_UP_S * _WARM_UP_HZ)
    ]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_WARM_UP_HZ)
        file.writeframes(b"".join(one.to_bytes(2, "little", signed=True) for one in beep))
