"""Networks of a lab's own: scored as numpy does, refused with one sentence, known by content."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.own_models import write_loudness_model, write_model

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors import onnx_model
from badc_core.detectors.interface import Label, WindowBatch
from badc_core.detectors.onnx_graph import find_files_beside
from badc_core.detectors.own_model import make_failure
from badc_core.detectors.registry import identify_detector, load_detector, uses_gpu
from badc_core.devices.inventory import Gpu, GpuInventory
from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    DetectorFailed,
    DetectorMissing,
    OutOfMemory,
)

RATE_HZ = 8000
LABELS = "one\ntwo\nthree\nfour\n"


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., DetectorSettings]:
    """Returns what makes settings for a network in `model.onnx` with four labels."""
    (tmp_path / "labels.txt").write_text(LABELS)

    def make(min_score: float = 0.0, **model) -> DetectorSettings:
        given = {
            "file": str(tmp_path / "model.onnx"),
            "labels": str(tmp_path / "labels.txt"),
            "sample_rate_hz": RATE_HZ,
            "window_s": 1.0,
        }
        return DetectorSettings(name="onnx", min_score=min_score, model={**given, **model})

    return make


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_loudness_model(tmp_path / "model.onnx")


def windows(n_windows: int, scale: float = 0.5) -> np.ndarray:
    noise = np.random.default_rng(n_windows).uniform(-scale, scale, (n_windows, RATE_HZ))
    return (noise * np.linspace(0.1, 1, RATE_HZ)).astype(np.float32)


def loudness(sound: np.ndarray, n_classes: int = 4) -> np.ndarray:
    """Returns what the network computes."""
    parts = sound.astype(np.float64).reshape(len(sound), n_classes, -1)
    return (parts**2).mean(axis=2)


def refusal(settings: DetectorSettings, kind: type[Exception] = ConfigInvalid) -> str:
    with pytest.raises(kind) as caught:
        load_detector(settings)
    assert type(caught.value) is kind
    assert caught.value.where
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [
        *(("n", 8000), ("n", 1, 8000), ("n", "channels", 8000), ("n", 1, "samples")),
        *((1, 8000), (1, 1, 8000), (3, 8000), (16, 1, 8000)),
    ],
)
@pytest.mark.parametrize("n_windows", [1, 3, 13])
def test_scores_are_what_numpy_computes(
    tmp_path: Path, settings, shape: tuple[int | str, ...], n_windows: int
) -> None:
    write_loudness_model(tmp_path / "model.onnx", shape)
    detector = load_detector(settings())
    sound = windows(n_windows)
    np.testing.assert_allclose(detector.score(sound), loudness(sound), atol=1e-6)
    assert detector.batch_windows == (shape[0] if isinstance(shape[0], int) else 4)


def test_detections_are_labels_at_or_above_the_minimum_with_their_windows_place(
    model: Path, settings
) -> None:
    sound = windows(2)
    expected = loudness(sound)
    found = load_detector(settings(min_score=0.02)).detect(
        WindowBatch(sound, (0, 8000), (8000, 9000), RATE_HZ)
    )
    assert [[one.label for one in row] for row in found] == [
        [Label(name) for name, score in zip(LABELS.split(), row, strict=True) if score >= 0.02]
        for row in expected
    ]
    assert {len(row) for row in found} <= {1, 2, 3}
    assert [(one.start_sample, one.end_sample) for one in found[1]] == [(8000, 9000)] * len(
        found[1]
    )
    assert found[0][-1].confidence == pytest.approx(expected[0, 3], abs=1e-6)


@pytest.mark.parametrize("shape", [("n", 8000), (3, 8000)])
def test_a_window_scores_the_same_whatever_stands_beside_it(
    tmp_path: Path, settings, shape
) -> None:
    write_loudness_model(tmp_path / "model.onnx", shape)
    detector = load_detector(settings())
    sound = windows(11)
    together = detector.score(sound)
    for start, end in ((0, 1), (4, 6), (3, 10), (10, 11)):
        np.testing.assert_array_equal(detector.score(sound[start:end]), together[start:end])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_logits_become_scores(tmp_path: Path, settings, activation: str) -> None:
    write_loudness_model(tmp_path / "model.onnx", gain=4000.0, shift=-40.0)
    detector = load_detector(settings(activation=activation))
    sound = windows(5)
    logits = 4000 * loudness(sound) - 40
    powers = np.exp(logits)
    softmax = powers / powers.sum(axis=1, keepdims=True)
    expected = softmax if activation == "softmax" else 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(detector.score(sound), expected, atol=1e-4)
    assert detector.score(np.full((1, RATE_HZ), 1e3, np.float32)).max() <= 1


def test_the_output_is_the_one_of_that_name_or_of_that_size(tmp_path: Path, settings) -> None:
    wide = helper.make_node("Concat", ["scores", "scores"], ["wide"], axis=1)
    twice = helper.make_node("Mul", ["scores", "half"], ["halved"])
    path = _with_outputs(tmp_path, [wide, twice], {"wide": 8, "halved": 4})
    assert "several outputs could be the scores; its outputs are scores" in refusal(settings())
    sound = windows(2)
    for name, factor in (("scores", 1.0), ("halved", 0.5)):
        told = load_detector(settings(output=name)).score(sound)
        np.testing.assert_allclose(told, factor * loudness(sound), atol=1e-6)
    assert "no value for each of the 4 labels" in refusal(settings(output="wide"))
    assert "no output 'score'" in refusal(settings(output="score"))
    assert "no output 'score'" in refusal(settings(output="score", file=str(path)))
    _with_outputs(tmp_path, [wide], {"wide": 8})
    np.testing.assert_allclose(load_detector(settings()).score(sound), loudness(sound), atol=1e-6)


def _with_outputs(tmp_path: Path, nodes, sizes: dict[str, int]) -> Path:
    """Writes the network with more outputs, of so many values each."""
    whole = onnx.load(write_loudness_model(tmp_path / "model.onnx"))
    whole.graph.node.extend(nodes)
    whole.graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]))
    for name, size in sizes.items():
        whole.graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        )
    onnx.save(whole, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("key", ["file", "labels"])
def test_a_file_that_is_not_given_or_not_there_is_asked_for(model, settings, key: str) -> None:
    none = settings(**{key: ""})
    absent = settings(**{key: "/absent/file"})
    for ask in (identify_detector, load_detector):
        with pytest.raises(ConfigInvalid, match=rf"detector\.model\.{key}: no file is given"):
            ask(none)
        with pytest.raises(DetectorMissing, match=rf"/absent/file: there is no such .*\.{key}"):
            ask(absent)


@pytest.mark.parametrize("key", ["file", "labels", "weights"])
@pytest.mark.parametrize("is_link", [True, False])
def test_a_file_whose_content_is_elsewhere_is_fetched_first(
    tmp_path: Path, settings, key: str, is_link: bool
) -> None:
    weights = _write_with_weights_beside(tmp_path)
    annexed = {
        "file": tmp_path / "model.onnx",
        "labels": tmp_path / "labels.txt",
        "weights": weights,
    }[key]
    annexed.unlink()
    if is_link:
        annexed.symlink_to(".git/annex/objects/xx/yy/MD5E-s10--abc")
    else:
        annexed.write_text("/annex/objects/MD5E-s10--abc\n")
    for ask in (identify_detector, load_detector):
        with pytest.raises(ContentMissing, match=rf"Run: datalad get '?{annexed}"):
            ask(settings())


@pytest.mark.parametrize("key", ["sample_rate_hz", "window_s"])
def test_rate_and_window_must_be_given(model: Path, settings, key: str) -> None:
    assert f"detector.model.{key}: the detector `onnx` has no {key}" in refusal(
        settings(**{key: None})
    )


@pytest.mark.parametrize("content", [b"", b"no network", b"<html>", bytes(1000)])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, settings, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    assert "model.onnx: onnxruntime" in refusal(settings())


def test_windows_of_another_length_are_refused_with_both_numbers(model: Path, settings) -> None:
    told = refusal(settings(window_s=3.0))
    assert "takes windows of 8000 samples, but window_s times sample_rate_hz is 24000" in told


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"sound": ["n", 3, 8000]}, r"input is sound tensor\(float\) \[n, 3, 8000\], not sound"),
        ({"sound": ["n", 1, 128, 64]}, r"\[n, 1, 128, 64\], not sound"),
        ({"sound": [8000]}, r"\[8000\], not sound"),
        ({"sound": (TensorProto.INT16, ["n", 8000])}, r"tensor\(int16\) \[n, 8000\], not sound"),
        ({"sound": ["n", 8000], "place": ["n", 2]}, r"has 2 inputs \(sound .*, place "),
    ],
)
def test_a_network_that_takes_no_windows_of_sound_is_refused(
    tmp_path: Path, settings, inputs, complaint: str
) -> None:
    name = next(iter(inputs))
    kind = inputs[name][0] if isinstance(inputs[name], tuple) else TensorProto.FLOAT
    same = helper.make_node("Identity", [name], ["same"])
    shape = inputs[name][1] if isinstance(inputs[name], tuple) else inputs[name]
    write_model(tmp_path / "model.onnx", [same], {}, inputs, {"same": (kind, shape)})
    with pytest.raises(ConfigInvalid, match=rf"model\.onnx: the model'?s? .*{complaint}"):
        load_detector(settings())


def test_another_number_of_labels_than_scores_is_refused(tmp_path: Path, model, settings) -> None:
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    told = refusal(settings())
    assert "no value for each of the 2 labels; its outputs are scores tensor(float) [n, 4]" in told
    assert "detector.model.labels" in told


def test_a_free_number_of_scores_is_counted_when_it_runs(tmp_path: Path, settings) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["sound"], ["loudest"], keepdims=0),
        helper.make_node("Ceil", ["loudest"], ["one"]),
        helper.make_node("Cast", ["one"], ["count"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["count", "zero"], ["end"]),
        helper.make_node("Mul", ["sound", "sound"], ["squares"]),
        helper.make_node("Slice", ["squares", "zero", "end", "at"], ["scores"]),
    ]
    constants = {"zero": np.array([0]), "at": np.array([1])}
    shapes = {"sound": ["n", 8000]}, {"scores": ["n", "classes"]}
    write_model(tmp_path / "model.onnx", nodes, constants, *shapes)
    (tmp_path / "labels.txt").write_text("one\n")
    load_detector(settings())
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    told = refusal(settings())
    assert "output scores has shape [4, 1] for 4 windows and 2 labels, not [4, 2]" in told


def test_values_outside_0_to_1_are_refused_naming_the_activation(tmp_path: Path, settings) -> None:
    write_loudness_model(tmp_path / "model.onnx", gain=4000.0, shift=-40.0)
    told = refusal(settings())
    assert "model.onnx: gives scores from -39.9" in told
    assert 'not from 0 to 1. Set detector.model.activation to "sigmoid" or "softmax"' in told


def test_values_outside_0_to_1_are_refused_also_of_a_later_window(model: Path, settings) -> None:
    detector = load_detector(settings())
    with pytest.raises(DetectorFailed, match=r"gives scores from .* to 4, not from 0 to 1"):
        detector.score(np.full((1, RATE_HZ), 2, np.float32))
    assert detector.score(np.full((1, RATE_HZ), 1.000002, np.float32)).max() == 1


@pytest.mark.parametrize("offset", [0.0, 1e-9])  # 0 / 0, or infinite
def test_digital_silence_without_a_score_is_not_analysed_and_nan_on_sound_is_an_error(
    tmp_path: Path, settings, offset: float
) -> None:
    nodes = [
        helper.make_node("Mul", ["sound", "sound"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "offset"], ["more"]),
        helper.make_node("Div", ["more", "mean"], ["ratio"]),
        helper.make_node("Sub", ["ratio", "nearly_one"], ["score"]),
    ]
    constants = {"offset": np.float32(offset), "nearly_one": np.float32(0.5)}
    shapes = {"sound": ["n", 8000]}, {"score": ["n", 1]}
    write_model(tmp_path / "model.onnx", nodes, constants, *shapes)
    (tmp_path / "labels.txt").write_text("any\n")
    detector = load_detector(settings())
    sound = np.insert(windows(5), [0, 3], 0, axis=0)  # digital silence first, and in between
    spans = tuple(range(7)), tuple(range(1, 8))
    found = detector.detect(WindowBatch(sound, *spans, RATE_HZ))
    assert [one is None for one in found] == [True, *[False] * 3, True, *[False] * 2]
    assert [len(one) for one in found if one is not None] == [1] * 5
    assert detector.detect(WindowBatch(sound[:1], (0,), (1,), RATE_HZ)) == [None]
    # Its squares are 0: NaN, yet there is something to hear.
    sound[1] = np.tile([1e-30, -1e-30], sound.shape[1] // 2)
    with pytest.raises(DetectorFailed, match=r"NaN for 1 of 4 windows|to inf"):
        detector.detect(WindowBatch(sound, *spans, RATE_HZ))


def test_without_onnxruntime_the_command_that_installs_it_is_told(
    model: Path, settings, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    told = refusal(settings(), DetectorMissing)
    assert "pip install 'badc[onnx]'" in told


def test_the_identity_is_of_the_files_content_and_not_of_their_place(
    tmp_path: Path, model: Path, settings
) -> None:
    before = identify_detector(settings())
    (tmp_path / "copy").mkdir()
    copies = {
        "file": tmp_path / "copy" / "other.onnx",
        "labels": tmp_path / "copy" / "classes.txt",
    }
    copies["file"].write_bytes(model.read_bytes())
    copies["labels"].write_text(LABELS)
    copied = settings(**{key: str(path) for key, path in copies.items()}, batch_windows=9)
    assert identify_detector(copied) == before
    assert copied.fingerprint_inputs() == settings().fingerprint_inputs()
    copies["labels"].write_text(LABELS.replace("one", "eins"))
    assert identify_detector(copied).companions != before.companions
    write_loudness_model(copies["file"], gain=2.0)
    after = identify_detector(copied)
    assert (after.model_sha256 != before.model_sha256) is (after.version != before.version) is True


TABLE = np.full(2000, 0.25, np.float32)


def _write_with_weights_beside(tmp_path: Path, location: str = "our weights.data") -> Path:
    """Writes the network with a table that is in a file of its own; returns that."""
    whole = onnx.load(write_loudness_model(tmp_path / "model.onnx", gain=0.5))
    whole.graph.initializer.append(onnx.numpy_helper.from_array(TABLE, "table"))
    whole.graph.node.insert(2, helper.make_node("Mul", ["squares", "table"], ["weighed"]))
    whole.graph.node[3].input[0] = "weighed"
    outside = {"save_as_external_data": True, "location": location, "size_threshold": 1024}
    onnx.save(whole, tmp_path / "model.onnx", **outside)
    return tmp_path / location


@pytest.mark.parametrize("n_letters", [12, 122, 123, 250])
def test_weights_beside_the_file_belong_to_the_model(
    tmp_path: Path, settings, n_letters: int
) -> None:
    name = f"{'w' * n_letters}.data"
    weights = _write_with_weights_beside(tmp_path, name)
    assert find_files_beside(tmp_path / "model.onnx") == (weights,)
    before = identify_detector(settings())
    sound = windows(1)
    expected = 0.125 * loudness(sound)
    np.testing.assert_allclose(load_detector(settings()).score(sound), expected, atol=1e-6)
    weights.write_bytes(weights.read_bytes().replace(TABLE.tobytes(), (TABLE * 2).tobytes()))
    after = identify_detector(settings())
    assert after.model_sha256 == before.model_sha256
    assert after.companions != before.companions
    np.testing.assert_allclose(load_detector(settings()).score(sound), 2 * expected, atol=1e-6)
    weights.unlink()
    assert "absent" in identify_detector(settings()).companions[-1]
    assert name in refusal(settings())


def test_names_that_no_file_can_have_are_of_no_file(tmp_path: Path, settings) -> None:
    network = write_loudness_model(tmp_path / "model.onnx").read_bytes()
    for length, value in ((b"\x80\x10", b"w" * 2048), (b"\x03", b"a\0b"), (b"\0", b"")):
        content = network + b"\n\x08location\x12" + length + value
        (tmp_path / "model.onnx").write_bytes(content)
        named = find_files_beside(tmp_path / "model.onnx")
        assert named == ((tmp_path / value.decode(),) if value else ())
        _, *beside = identify_detector(settings()).companions
        assert beside == [f"{one.name}: absent" for one in named]


def test_a_network_replaced_while_it_is_loaded_is_refused(
    tmp_path: Path, model: Path, settings, monkeypatch
) -> None:
    """The moment is made sure of: onnxruntime is handed another file than was hashed."""
    load_session = onnx_model._load_session

    def load_another(path: Path):
        write_loudness_model(path, gain=2.0)
        return load_session(path)

    monkeypatch.setattr(onnx_model, "_load_session", load_another)
    told = refusal(settings())
    assert told.startswith("onnx: the model, or a file that belongs to it, changed while it was")
    assert load_detector(settings()).score(windows(1)).shape == (1, 4)


GREEDY_MIB = 200
_GREEDY = """
import resource, sys
import numpy as np
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import WindowBatch
from badc_core.detectors.registry import load_detector
from badc_core.errors import OutOfMemory
settings = DetectorSettings.model_validate_json(sys.argv[1])
import onnxruntime
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = (int(status["VmSize"].split()[0]) << 10) + (int(sys.argv[2]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    detector = load_detector(settings)
    sound = np.full((8, 8000), 0.5, np.float32)
    found = detector.detect(WindowBatch(sound, tuple(range(8)), tuple(range(1, 9)), 8000))
    print([len(one) for one in found], *detector.report().notes, detector.report())
except OutOfMemory as error:
    print(error)
"""


def _write_greedy(path: Path) -> None:
    """Writes a network that needs 200 MiB for every window."""
    width = GREEDY_MIB * (1 << 20) // 4 // 8000
    constants = {"wide": np.array([1, width, 1]), "at": np.array([1])}
    nodes = [
        helper.make_node("Unsqueeze", ["sound", "at"], ["thin"]),
        helper.make_node("Expand", ["thin", "wide"], ["thick"]),
        helper.make_node("ReduceMax", ["thick"], ["row"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["row"], ["score"], axes=[1], keepdims=1),
    ]
    write_model(path, nodes, constants, {"sound": ["n", 8000]}, {"score": ["n", 1]})


@pytest.mark.parametrize(
    ("free_mib", "answer"),
    [
        (
            # Less than eight windows want, and well above what four do: onnxruntime takes more.
            7 * GREEDY_MIB,
            "[1, 1, 1, 1, 1, 1, 1, 1] out of memory: 4 windows at once from now on None",
        ),
        (GREEDY_MIB // 2, "onnxruntime cannot run"),
    ],
)
def test_where_memory_ends_fewer_windows_are_given_at_once(
    tmp_path: Path, settings, lacking, free_mib: int, answer: str
) -> None:
    if not Path("/proc/self/status").exists():
        lacking("/proc")
    (tmp_path / "labels.txt").write_text("any\n")
    _write_greedy(tmp_path / "model.onnx")
    told = subprocess.run(
        [sys.executable, "-c", _GREEDY, settings(batch_windows=8).model_dump_json(), str(free_mib)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer in told.stdout


def test_windows_that_memory_cannot_even_hold_are_fewer_at_once_too(
    model: Path, settings, lacking
) -> None:
    if not Path("/proc/self/status").exists():
        lacking("/proc")
    many = settings(batch_windows=4096).model_dump_json()
    told = subprocess.run(
        [sys.executable, "-c", _GREEDY, many, "100"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.startswith("[4, 4, 4, 4, 4, 4, 4, 4] out of memory: 2048 windows"), told


def test_a_gpu_is_asked_for_only_where_onnxruntime_can_use_one(
    model: Path, settings, monkeypatch
) -> None:
    assert not uses_gpu(settings())
    before = identify_detector(settings())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [onnx_model._CUDA])
    assert uses_gpu(settings())
    after = identify_detector(settings())
    assert after != before
    assert after.model_inputs() == before.model_inputs()


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_a_gpu_that_onnxruntime_cannot_use_is_no_cpu(model: Path, settings, monkeypatch) -> None:
    """No build for CUDA is installed for tests: what it says of itself is made up here."""
    providers = [onnx_model._CUDA, onnx_model._CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert load_detector(settings()).score(windows(1)).shape == (1, 4)
    seen = GpuInventory((Gpu(0, "GPU-1", "made up", 1024),), "")
    monkeypatch.setattr(onnx_model, "find_gpus", lambda: seen)
    told = refusal(settings(), DetectorMissing)
    assert "cannot use the GPU" in told
    assert "CUDA_VISIBLE_DEVICES=''" in told


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (RuntimeError("Failed to allocate memory for requested buffer of size 16"), True),
        (RuntimeError("CUDA failure 2: out of memory ; GPU=0"), True),
        (RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError(), True),
        (RuntimeError("Got invalid dimensions for input: sound"), False),
    ],
)
def test_a_lack_of_memory_is_known_by_what_libraries_say_of_it(error, is_memory: bool) -> None:
    failure = make_failure(error, "it failed", "model.onnx", "Do something")
    assert isinstance(failure, OutOfMemory) is is_memory
