"""Python functions of a lab's own: called as promised, refused with one sentence."""

import importlib
import json
import os
import py_compile
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detector
from badc_core.detectors.registry import identify_detector, load_detector, uses_gpu
from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    DetectorFailed,
    DetectorMissing,
    OutOfMemory,
)
from badc_core.out_of_memory import is_out_of_memory

RATE_HZ = 8000


@pytest.fixture(autouse=True)
def imports_as_in_a_new_process(monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., DetectorSettings]:
    """Returns what makes settings for the function `score` in `our score.py`, with two labels."""
    (tmp_path / "labels.txt").write_text("left\nright\n")

    def make(function: str = "", **model) -> DetectorSettings:
        given = {
            "function": function or f"{tmp_path / 'our score.py'}:score",
            "labels": str(tmp_path / "labels.txt"),
            "sample_rate_hz": RATE_HZ,
            "window_s": 1.0,
        }
        return DetectorSettings(name="python", min_score=0.1, model={**given, **model})

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_source(source: str, name: str = "our score.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write_source


@pytest.fixture
def load(settings, write) -> Callable[..., Detector]:
    """Returns what loads a function with this body; `loud` is the one score it knows of."""

    def load_body(body: str, **model) -> Detector:
        lines = ["import numpy as np", "", "def score(windows):"]
        lines += ["    loud = np.abs(windows).mean(axis=1)"]
        lines += [f"    {line}" for line in textwrap.dedent(body).strip().splitlines()]
        write("\n".join(lines) + "\n")
        return load_detector(settings(**model))

    return load_body


def windows(n_windows: int) -> np.ndarray:
    noise = np.random.default_rng(n_windows).uniform(-1, 1, (n_windows, RATE_HZ))
    return (noise * np.linspace(0.2, 1, n_windows)[:, np.newaxis]).astype(np.float32)


@pytest.mark.parametrize(
    "returned",
    [
        "np.stack([loud, loud / 2], axis=1)",
        "np.stack([loud, loud / 2], axis=1).astype('float64')",
        "[[float(one), float(one / 2)] for one in loud]",
    ],
)
def test_scores_are_what_the_function_returns(load, returned: str) -> None:
    sound = windows(11)
    loud = np.abs(sound.astype(np.float64)).mean(axis=1)
    expected = np.stack([loud, loud / 2], axis=1)
    np.testing.assert_allclose(load(f"return {returned}").score(sound), expected, atol=1e-5)


def test_whole_numbers_and_truths_are_scores_too(load) -> None:
    told = load("return np.stack([loud > 0.3, loud > 2], axis=1)").score(windows(5))
    assert told[:, 0].tolist() == (np.abs(windows(5)).mean(axis=1) > 0.3).tolist()
    assert not told[:, 1].any()


def test_it_is_given_so_many_windows_at_most_and_may_write_to_them(load, tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = f"""
        with open({str(log)!r}, "a") as file:
            print(*windows.shape, windows.dtype, windows.flags.writeable, file=file)
        windows *= 0
        return np.stack([loud, loud], axis=1)
    """
    detector = load(body, batch_windows=3)
    assert detector.batch_windows == 3
    log.unlink()
    sound = windows(8)
    before = sound.copy()
    detector.score(sound)
    np.testing.assert_array_equal(sound, before)
    assert log.read_text().splitlines() == [f"{n} 8000 float32 True" for n in (3, 3, 2)]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("return loud", r"values of shape \[1\] for 1 windows and 2 labels, not \[1, 2\]"),
        ("return np.stack([loud] * 3, axis=1)", r"shape \[1, 3\] for 1 windows"),
        ("return np.stack([loud, loud])", r"shape \[2, 1\] for 1 windows"),
        ("return None", "gives values of type object, not numbers"),
        ("return [['a', 'b'] for _ in loud]", "gives values of type <U1, not numbers"),
        ("return np.stack([loud, loud * np.nan], axis=1)", "gives NaN for 1 of 1 windows"),
        ("return np.stack([loud, loud - 9], axis=1)", r"gives scores from -8\.99\d* to "),
        ("return np.stack([loud, loud + np.inf], axis=1)", "to inf, not from 0 to 1"),
    ],
)
def test_what_are_no_scores_is_refused_before_any_chunk_is_tried(
    load, tmp_path: Path, body: str, complaint: str
) -> None:
    with pytest.raises(ConfigInvalid, match=rf"our score\.py:score: .*{complaint}.*\. [A-Z]"):
        load(body)


def test_what_are_no_scores_of_a_later_window_is_refused_too(load) -> None:
    detector = load("return np.stack([loud, 3 * loud], axis=1)")
    with pytest.raises(DetectorFailed, match=r"gives scores from .* to 1\.\d+, not from 0 to 1"):
        detector.score(windows(4))


def test_an_exception_is_told_with_its_type_and_line_in_the_function(load) -> None:
    body = """
        if loud.max() > 0.3:
            return np.reshape(windows, (3, 7))
        return np.stack([loud, loud], axis=1)
    """
    detector = load(body)
    with pytest.raises(DetectorFailed) as caught:
        detector.score(windows(4))
    told = caught.value
    assert type(told) is DetectorFailed
    assert told.what == (
        "the function raised ValueError: cannot reshape array of size 32000 into shape (3,7)"
    )
    assert told.where.endswith("our score.py:6")
    assert isinstance(told.__cause__, ValueError)


@pytest.mark.parametrize("raised", ["MemoryError()", "RuntimeError('CUDA out of memory. Tried')"])
def test_a_lack_of_memory_is_one_so_that_less_is_tried_at_once(load, raised: str) -> None:
    detector = load(f"if len(loud) > 1: raise {raised}\nreturn np.stack([loud, loud], axis=1)")
    with pytest.raises(OutOfMemory) as caught:
        detector.score(windows(2))
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("function", "kind", "complaint"),
    [
        ("score", ConfigInvalid, "'score' names no function in a module"),
        (":score", ConfigInvalid, "':score' names no function"),
        ("our_scores:", ConfigInvalid, "'our_scores:' names no function"),
        ("a.py:no name", ConfigInvalid, "'a.py:no name' names no function"),
        ("/absent/a.py:score", DetectorMissing, r"/absent/a\.py: there is no such file"),
        ("absent_module:score", DetectorMissing, "there is no module 'absent_module'"),
        ("json.absent:score", DetectorMissing, r"there is no module 'json\.absent'"),
        ("json.tool.absent:score", DetectorMissing, r"no module 'json\.tool\.absent'"),
        ("..json:score", DetectorMissing, r"there is no module '\.\.json'"),
        ("sys:exit", ConfigInvalid, "the module 'sys' has no source file"),
    ],
)
def test_a_setting_that_leads_to_no_source_is_refused(
    settings, function: str, kind: type[Exception], complaint: str
) -> None:
    for ask in (identify_detector, load_detector):
        with pytest.raises(kind, match=complaint):
            ask(settings(function))


def test_no_function_at_all_is_refused(settings) -> None:
    unset = settings().model_copy(update={"model": settings().model.model_copy()})
    model = unset.model.model_copy(update={"function": ""})
    with pytest.raises(ConfigInvalid, match=r"detector\.model\.function: no function is given"):
        identify_detector(unset.model_copy(update={"model": model}))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("scores = 3", r"our score\.py: there is no function 'score'"),
        ("score = 3", r"our score\.py: 'score' is not a function"),
    ],
)
def test_a_module_without_the_function_is_refused(settings, write, source, complaint) -> None:
    write(source)
    with pytest.raises(ConfigInvalid, match=complaint):
        load_detector(settings())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            "x = 1\nimport absent_thing\n",
            r"\.py:2: importing it raised ModuleNotFoundError: No mod",
        ),
        ("x = 1\n\ny = = 2\n", r"\.py:3: importing it raised SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\nf()\n", r"\.py:2: importing it raised ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(settings, write, source, complaint) -> None:
    write(source)
    with pytest.raises(DetectorMissing, match=complaint):
        load_detector(settings())


@pytest.fixture
def package(write, tmp_path: Path, monkeypatch) -> Path:
    """Returns the source of `our_lab.deep.birds`, in packages that say when they are imported."""
    write("print('imported our_lab')", "site/our_lab/__init__.py")
    write("print('imported our_lab.deep')", "site/our_lab/deep/__init__.py")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in ("our_lab", "our_lab.deep", "our_lab.deep.birds"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    source = """
        from dataclasses import dataclass

        @dataclass
        class Half:
            of: "float"

        def score(windows):
            return [[0.5, Half(0.5).of / 2] for _ in windows]
    """
    return write(source, "site/our_lab/deep/birds.py")


def test_a_function_may_be_in_an_installed_module_which_is_only_imported_to_run(
    settings, package: Path, capfd
) -> None:
    ours = settings("our_lab.deep.birds:score")
    by_path = settings(f"{package}:score")
    assert identify_detector(ours).version == identify_detector(by_path).version
    assert capfd.readouterr().out == ""
    assert load_detector(ours).score(windows(1)).tolist() == [[0.5, 0.25]]
    assert capfd.readouterr().out.split() == ["imported", "our_lab", "imported", "our_lab.deep"]
    assert load_detector(by_path).score(windows(1)).tolist() == [[0.5, 0.25]]


def test_an_installed_module_that_its_package_imports_is_executed_once(
    settings, package: Path, capfd
) -> None:
    (package.parent / "__init__.py").write_text("from our_lab.deep.birds import score")
    package.write_text("print('executed')\n" + package.read_text())
    assert load_detector(settings("our_lab.deep.birds:score")).score(windows(1)).size
    assert capfd.readouterr().out.split().count("executed") == 1


@pytest.mark.parametrize("is_installed", [False, True])
def test_bytecode_of_an_earlier_source_never_runs_under_the_name_of_the_new(
    settings, package: Path, is_installed: bool
) -> None:
    """Python knows bytecode by its source's size and second alone, which an edit may keep."""
    py_compile.compile(str(package), doraise=True)
    before = package.stat()
    package.write_text(package.read_text().replace("Half(0.5)", "Half(0.8)"))
    os.utime(package, ns=(before.st_atime_ns, before.st_mtime_ns))
    function = "our_lab.deep.birds:score" if is_installed else f"{package}:score"
    assert load_detector(settings(function)).score(windows(1)).tolist() == [[0.5, 0.4]]


def test_modules_beside_the_file_can_be_imported_and_nothing_is_left_there(
    tmp_path: Path, settings, write, monkeypatch
) -> None:
    for name in ("beside_ours", "beside_later"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    write("LEFT = 0.25", "lab/beside_ours.py")
    write("RIGHT = 0.75", "lab/beside_later.py")
    write("raise RuntimeError('not the installed one')", "lab/colorsys.py")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    source = """
        import colorsys
        from beside_ours import LEFT

        def score(windows):
            from beside_later import RIGHT

            return [[LEFT, RIGHT]] * len(windows)
    """
    path = write(source, "lab/ours.py")
    here = sorted(path.parent.iterdir())
    detector = load_detector(settings(f"{path}:score"))
    assert detector.score(windows(1)).tolist() == [[0.25, 0.75]]
    assert sorted(path.parent.iterdir()) == here


def test_a_file_that_changes_while_the_function_loads_is_refused(
    tmp_path: Path, settings, write
) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"1")
    write(
        f"""
        from pathlib import Path

        Path({str(weights)!r}).write_bytes(b"22")

        def score(windows):
            return [[0, 1]] * len(windows)
        """
    )
    changing = settings(file=str(weights))
    with pytest.raises(ConfigInvalid, match=r"python: .* changed while it was being loaded\. Run"):
        load_detector(changing)
    load_detector(changing)


def test_a_source_whose_content_is_elsewhere_is_fetched_first(tmp_path: Path, settings) -> None:
    (tmp_path / "our score.py").symlink_to(".git/annex/objects/xx/yy/MD5E-s10--abc.py")
    for ask in (identify_detector, load_detector):
        with pytest.raises(ContentMissing, match=r"Run: datalad get '.*our score\.py'"):
            ask(settings())


def test_the_identity_follows_the_source_the_name_and_the_weights(
    tmp_path: Path, settings, write
) -> None:
    source = "def score(windows):\n    return [[0, 1]] * len(windows)\n\nrate = score\n"
    path = write(source)
    before = identify_detector(settings())
    assert (before.model_sha256, before.uses_gpu, before.window_s) == (None, False, 1.0)
    copy = write(source, "elsewhere/copy.py")
    assert identify_detector(settings(f"{copy}:score")) == before
    assert identify_detector(settings(f"{path}:rate")).version != before.version
    write(source.replace("0, 1", "1, 0"))
    assert identify_detector(settings()).version != before.version
    (tmp_path / "weights").write_bytes(b"1")
    weighed = settings(f"{copy}:score", file=str(tmp_path / "weights"))
    first = identify_detector(weighed)
    assert first.version == before.version
    (tmp_path / "weights").write_bytes(b"22")
    assert identify_detector(weighed).model_sha256 not in {first.model_sha256, None}


def test_whoever_wrote_it_says_whether_it_uses_a_gpu(settings, write) -> None:
    write("def score(windows):\n    return [[0, 1]] * len(windows)\n")
    assert not uses_gpu(settings())
    assert uses_gpu(settings(uses_gpu=True))
    by_gpu, by_cpu = identify_detector(settings(uses_gpu=True)), identify_detector(settings())
    assert by_gpu.model_inputs() == by_cpu.model_inputs()
    assert settings(uses_gpu=True).fingerprint_inputs() == settings().fingerprint_inputs()


def test_what_it_prints_disturbs_no_worker(settings, write) -> None:
    write("print('hello')\ndef score(windows):\n    print('rubbish')\n    return [[0, 1]]\n")
    setup = {"detector": settings().model_dump(), "scratch": "/tmp"}  # noqa: S108
    done = subprocess.run(
        [sys.executable, "-m", "badc_core.engine.worker", "1"],
        input=json.dumps(setup) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    (hello,) = done.stdout.splitlines()
    assert json.loads(hello)["kind"] == "hello"
    assert "rubbish" in done.stderr
