"""Programs of users' own: called as promised, their results kept, their failures told."""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.command import identify, load
from badc_core.detectors.interface import NO_CONTEXT, Detection, Detector, Label
from badc_core.detectors.programs import run_program
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing, OutOfMemory

RATE_HZ = 48_000
OVENBIRD = {
    "timestamp_ms": 1500,
    "end_ms": 4500,
    "label": "OVEN",
    "label_code": "OVEN",
    "label_name": "Ovenbird",
    "confidence": 0.75,
}

_NOBODY = 65534


def settings_of(command: str, **settings: float) -> DetectorSettings:
    return DetectorSettings(name="command", command=command, **settings)


@pytest.fixture
def write_program(tmp_path: Path) -> Callable[[str], str]:
    """Returns what writes a shell script, called with `$2` the WAV and `$4` the output."""

    def write(body: str) -> str:
        path = tmp_path / "my runner.sh"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return shlex.quote(str(path))

    return write


@pytest.fixture
def run(soundscape: Path, scratch: Path) -> Callable[..., list[Detection]]:
    """Returns what runs a command over seconds 9 to 19 of the soundscape, 2 s of them overlap."""

    def start(command: str | Detector, **settings: float) -> list[Detection]:
        detector = load(settings_of(command, **settings)) if isinstance(command, str) else command
        chunk = Chunk("rec", 9 * RATE_HZ, 19 * RATE_HZ, 2 * RATE_HZ, RATE_HZ)
        with AudioFile(soundscape) as audio:
            try:
                ((found,),) = (
                    detector.detect(one) for one in detector.batches(audio, chunk, NO_CONTEXT)
                )
            finally:
                assert list(scratch.iterdir()) == []
        return found

    return start


@pytest.fixture
def run_writing(write_program, run) -> Callable[..., list[Detection]]:
    """Returns what runs a program that writes the text it is given."""

    def start(text: str, **settings: float) -> list[Detection]:
        return run(write_program(f"cat > \"$4\" <<'END'\n{text}\nEND"), **settings)

    return start


def test_what_the_program_wrote_comes_back(run_writing) -> None:
    later = {**OVENBIRD, "timestamp_ms": 2500, "end_ms": 4000}
    found = run_writing(json.dumps({"status": "ok", "extra": 1, "detections": [later]}))
    expected = Detection(round(11.5 * RATE_HZ), 13 * RATE_HZ, Label("Ovenbird", "OVEN"), 0.75)
    assert found == [expected]


def test_a_bare_list_will_do_and_so_will_one_name_and_floats(run_writing) -> None:
    spare = {"timestamp_ms": 2000.0, "end_ms": 2500.5, "label": "Wren", "confidence": 1}
    coded = {"timestamp_ms": 2000, "end_ms": 2500, "label_code": "OVEN", "confidence": 1.0}
    named = {**coded, "label_name": "Ovenbird", "scientific_name": "Seiurus aurocapilla"}
    found = run_writing(json.dumps([spare, {**coded, "label": None}, named]))
    assert {one.label for one in found} == {
        Label("Wren"),
        Label("OVEN", "OVEN"),
        Label("Ovenbird", "OVEN", "Seiurus aurocapilla"),
    }


def test_the_minimum_score_counts(run_writing) -> None:
    rows = [{**OVENBIRD, "timestamp_ms": 3000, "confidence": score} for score in (0.2, 0.5, 0.6)]
    found = run_writing(json.dumps(rows), min_score=0.5)
    assert [one.confidence for one in found] == [0.5, 0.6]


def test_the_program_is_given_the_chunk_in_a_wav_file(run, write_program, tmp_path: Path) -> None:
    kept = shlex.quote(str(tmp_path / "kept.wav"))
    command = write_program(
        f'[ "$1" = --input ] && [ "$3" = --output ] && cp "$2" {kept} && echo [] > "$4"; cat'
    )
    assert run(command) == []
    with AudioFile(tmp_path / "kept.wav") as audio:
        assert (audio.n_samples, audio.sample_rate_hz) == (10 * RATE_HZ, RATE_HZ)


def test_the_command_is_split_into_words_and_never_seen_by_a_shell(
    run, write_program, tmp_path: Path
) -> None:
    script = write_program('printf "%s|" "$@" >&2; shift 4; echo [] > "$4"')
    detector = load(settings_of(f"{script} 'a b' $HOME \"; touch {tmp_path}/hacked\" x"))
    assert run(detector) == []
    assert detector.report().command[1:5] == ("a b", "$HOME", f"; touch {tmp_path}/hacked", "x")
    assert f"a b|$HOME|; touch {tmp_path}/hacked|x|--input|" in detector.report().stderr
    assert not (tmp_path / "hacked").exists()


def test_a_real_program_finds_the_same_however_the_recording_is_cut(
    load, detect, soundscape: Path
) -> None:
    detector = load("command", min_score=0.05)
    whole = detect(detector, soundscape, duration_s=60.0)
    assert len(whole) >= 5
    assert detect(detector, soundscape, duration_s=9.0) == whole


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "output is not JSON"),
        ("{'a': 1}", "output is not JSON"),
        ("[" * 100_000, "recursion limit"),
        ("{}", "detections is missing"),
        ('{"status": "error", "detections": []}', '"status": "error"'),
        ('{"detections": null}', "detections: must be a list, not None"),
        ('"none"', "detections: must be a list, not 'none'"),
        ("[1]", r"detections\[0\]: must be an object, not 1"),
    ],
)
def test_output_of_another_shape_is_refused(run_writing, text: str, complaint: str) -> None:
    with pytest.raises(DetectorFailed, match=complaint):
        run_writing(text)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"timestamp_ms": ...}, ".timestamp_ms is missing"),
        ({"end_ms": ...}, ".end_ms is missing"),
        ({"confidence": ...}, ".confidence is missing"),
        ({"timestamp_ms": -1}, ".timestamp_ms: must be greater than or equal to 0, not -1"),
        ({"end_ms": -1}, ".end_ms: must be greater than or equal to 0, not -1"),
        (
            {"timestamp_ms": 10_002, "end_ms": 10_003},
            ".timestamp_ms is after the end of its file, 10002",
        ),
        ({"end_ms": 1499}, ": end_ms 1499 is before timestamp_ms 1500"),
        ({"confidence": 1.01}, ".confidence: must be less than or equal to 1, not 1.01"),
        ({"confidence": float("nan")}, ".confidence: must be a finite number, not nan"),
        ({"confidence": "high"}, ".confidence: must be a number, not 'high'"),
        ({"confidence": True}, ".confidence: must be a number, not True"),
        ({"label_name": 7}, ".label_name: must be text, not 7"),
        ({"label": "", "label_name": None, "label_code": " "}, ": label is missing"),
    ],
)
def test_a_detection_with_a_wrong_value_is_refused_by_name(
    run_writing, change: dict, complaint: str
) -> None:
    row = {key: value for key, value in {**OVENBIRD, **change}.items() if value is not ...}
    with pytest.raises(DetectorFailed) as caught:
        run_writing(json.dumps([OVENBIRD, row]))
    expected = f"rec_chunk_9000_19000: the program's output: detections[1]{complaint}"
    assert expected in str(caught.value)


def test_no_output_is_a_failure(run) -> None:
    with pytest.raises(DetectorFailed, match="rec_chunk_9000_19000: the program wrote no output"):
        run("true")


def test_a_folder_is_no_output(run, write_program) -> None:
    with pytest.raises(DetectorFailed, match="cannot be read"):
        run(write_program('mkdir "$4"'))


def test_an_exit_code_is_told_with_the_last_line(run, write_program) -> None:
    script = write_program('echo [] > "$4"; echo fine; echo warning >&2; echo "no GPU" >&2; exit 3')
    detector = load(settings_of(script))
    with pytest.raises(DetectorFailed, match=r"runner\.sh ended with exit code 3: no GPU\. Run"):
        run(detector)
    report = detector.report()
    assert (report.returncode, report.stdout, report.stderr) == (3, "fine\n", "warning\nno GPU\n")


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 137"])
def test_a_killed_program_is_told_as_such(run, write_program, end: str) -> None:
    with pytest.raises(DetectorFailed, match=r"\(killed by SIGKILL, as happens where memory runs"):
        run(write_program(end))


def test_a_lack_of_memory_is_told_apart(run, write_program) -> None:
    with pytest.raises(OutOfMemory, match="exit code 1: CUDA out of memory"):
        run(write_program('echo "CUDA out of memory. Tried to allocate 2 GiB" >&2; exit 1'))


def test_endless_chatter_is_reported_by_its_end(run, write_program) -> None:
    detector = load(
        settings_of(write_program('yes | head -c 3000000; echo; echo last; echo []>"$4"'))
    )
    assert run(detector) == []
    assert len(detector.report().stdout) == 500
    assert detector.report().stdout.endswith("last\n")


@pytest.mark.parametrize("command", ["", "   ", "''' x"])
def test_no_command_or_an_ill_quoted_one_is_refused(command: str) -> None:
    for ask in (identify, load):
        with pytest.raises(ConfigInvalid, match=r"detector\.command.*--runner-cmd"):
            ask(settings_of(command))


def test_a_missing_program_is_named_with_what_to_set(tmp_path: Path) -> None:
    not_runnable = tmp_path / "notes.txt"
    not_runnable.write_text("hello")
    for command in ("no-such-detector --fast", str(not_runnable)):
        for ask in (identify, load):
            with pytest.raises(DetectorMissing, match=rf"{command.split()[0]}: .*--runner-cmd"):
                ask(settings_of(command))


def test_a_program_that_cannot_be_started_is_missing(run, tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"\x7fELF rubbish")
    path.chmod(0o755)
    with pytest.raises(DetectorMissing, match=r"rubbish: cannot be started"):
        run(str(path))


def test_a_changed_program_script_or_command_line_is_another_version(
    write_program, tmp_path: Path
) -> None:
    script = tmp_path / "detector.py"
    script.write_text("first")
    by_interpreter = settings_of(shlex.join([sys.executable, str(script)]))
    by_itself = settings_of(write_program("first"))
    before = [identify(one).version for one in (by_interpreter, by_itself)]
    assert [identify(one).version for one in (by_interpreter, by_itself)] == before
    script.write_text("other")
    write_program("other")
    after = [identify(one).version for one in (by_interpreter, by_itself)]
    longer = settings_of(f"{by_itself.command} --fast")
    assert len({*before, *after, identify(longer).version}) == 5


@contextmanager
def _as_anybody() -> Iterator[None]:
    """Gives up, in the block, root's right to read everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_an_unreadable_file_on_the_command_line_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        model = Path(folder) / "model.bin"
        model.write_bytes(b"weights")
        model.chmod(0)
        wanted = settings_of(shlex.join(["/bin/sh", str(model)]))
        with _as_anybody(), pytest.raises(DetectorMissing, match=r"model\.bin: cannot be read"):
            identify(wanted)


def test_an_argument_may_be_longer_than_any_file_name(run) -> None:
    code = f"import sys; open(sys.argv[4], 'w').write('[]') {'#' * 5000}"
    assert run(shlex.join([sys.executable, "-c", code])) == []


def test_the_program_stays_in_this_process_group(run, tmp_path: Path) -> None:
    code = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.getpgrp()));"
        "open(sys.argv[5], 'w').write('[]')"
    )
    run(shlex.join([sys.executable, "-c", code, str(tmp_path / "group")]))
    assert int((tmp_path / "group").read_text()) == os.getpgrp()


def test_the_programs_memory_is_reported_though_it_failed(write_program, run) -> None:
    greedy = f"{shlex.quote(sys.executable)} -c \"x = b'1' * (300 << 20)\""
    for ending, code in (('echo [] > "$4"', 0), ("exit 3", 3)):
        detector = load(settings_of(write_program(f"{greedy}; {ending}")))
        if code:
            with pytest.raises(DetectorFailed, match="exit code 3"):
                run(detector)
        else:
            assert run(detector) == []
        report = detector.report()
        assert report is not None
        assert report.returncode == code
        assert 300 < (report.peak_rss_mib or 0) < 3000


def test_a_program_killed_is_told_by_its_signal(write_program, run) -> None:
    detector = load(settings_of(write_program("kill -9 $$")))
    with pytest.raises(DetectorFailed, match="killed by SIGKILL"):
        run(detector)
    report = detector.report()
    assert report is not None
    assert report.returncode == -9


def test_a_program_holds_the_lease_of_its_worker(tmp_path) -> None:
    with (tmp_path / "slot").open("w") as slot:
        os.set_inheritable(slot.fileno(), True)
        program = f"import os; os.fstat({slot.fileno()})"
        assert run_program([sys.executable, "-c", program]).returncode == 0
