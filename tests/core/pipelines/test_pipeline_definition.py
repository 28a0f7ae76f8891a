"""What a pipeline's file may say, and what it is refused for."""

import re
from pathlib import Path

import pytest

from badc_core.errors import ConfigInvalid
from badc_core.pipelines.definition import PipelineStage, read_pipeline
from badc_core.pipelines.shipped import find_pipeline
from badc_core.pipelines.templates import PLACEHOLDERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pipelines.md"

WORDS = """\
[[stage]]
name = "mux"
command = ["mux", "{input}", "{{}}"]
inputs = ["{input}", "subtitles/words.srt", "/etc/hostname"]

[[stage]]
name = "demux"
command = ["demux", "{input}"]
outputs = ["audio/audio.wav"]
timeout_s = 600
retries = 2

[[stage]]
name = "names"
python = "my_stages.names:find"
optional = true
outputs = ["names.json"]

[[stage]]
name = "words"
python = "my_stages:hear"
inputs = ["{output_dir}/audio"]
optional_inputs = ["names.json"]
outputs = ["{output_dir}/subtitles/words.srt"]
device = true
after = ["names"]
"""


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_stages_run_after_those_whose_outputs_they_read(tmp_path) -> None:
    pipeline = read_pipeline(_write(tmp_path / "words.toml", WORDS))
    assert pipeline.name == "words"
    assert [one.name for one in pipeline.stages] == ["demux", "names", "words", "mux"]
    assert pipeline.depends_on == {
        "demux": (),
        "names": (),
        "words": ("demux", "names"),
        "mux": ("words",),
    }
    assert pipeline.number("mux") == 4
    words = pipeline.stage("words")
    assert (words.device, words.optional, words.retries, words.timeout_s) == (True, False, 0, None)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("timeout_s", "timeout", "stage demux: unknown key timeout; valid here: after, command, "),
        ("[[stage]]", "stages = 1\n[[stage]]", "unknown key stages; valid here: name, stage"),
        ("600", '"600"', "stage demux: timeout_s: must be a number, not '600'"),
        ("600", "nan", "stage demux: timeout_s: "),
        ("600", "0", "stage demux: timeout_s: must be greater than 0"),
        ("retries = 2", "retries = true", "stage demux: retries: "),
        ('["demux", "{input}"]', '"demux"', "stage demux: command: must be a list, not 'demux'"),
        ('command = ["demux", "{input}"]', "", "stage demux: needs either command or python"),
        ("my_stages:hear", "my_stages.hear", "stage words: python: "),
        ('"demux"', '"../demux"', "stage ../demux: name: "),
        ('"demux"', '"de__mux"', "stage de__mux: name: "),
        ('"demux"', '"demux_"', "stage demux_: name: "),
        ('"demux"', f'"{"x" * 61}"', "name: "),
        ('"demux"', '"MUX"', "two stages have the name MUX"),
        ('"demux"\n', '"demux"\ninputs = ["subtitles"]\n', "each other: words -> demux -> words"),
        ('"demux"\n', '"demux"\ninputs = ["audio"]\n', "stage demux: the stage waits for itself"),
        ('"subtitles/words.srt"', '"subtitles/w"', "stage mux: no stage writes the input subtitl"),
        ('["names"]', '["name"]', "there is no stage name; there are mux, demux, names, words"),
        ('["audio/audio.wav"]', '["names.json/a"]', "names.json is written by stage demux too"),
        ('["audio/audio.wav"]', '["a/../../b"]', "is not inside the job's folder"),
        ('["audio/audio.wav"]', '["/tmp/a"]', "is not inside the job's folder"),
        ('["audio/audio.wav"]', '["."]', "is not inside the job's folder"),
        ('["audio/audio.wav"]', '["stages/a"]', "would replace a file of the job"),
        ('["audio/audio.wav"]', '["{job}.wav"]', "has braces"),
        ('"{input}", "{{}}"', '"{imput}"', "unknown placeholder {imput} in '{imput}'; valid: {inp"),
        ('"{input}", "{{}}"', '"{input.__class__}"', "unknown placeholder {input.__class__}"),
        ('"{input}", "{{}}"', '"{input:>9}"', "unknown placeholder {input:>9}"),
        ('"{input}", "{{}}"', '"{"', "has a brace of no use"),
    ],
)
def test_what_makes_no_sense_is_refused_and_named(tmp_path, before, after, message) -> None:
    path = _write(tmp_path / "words.toml", WORDS.replace(before, after, 1))
    with pytest.raises(ConfigInvalid) as refused:
        read_pipeline(path)
    assert message in str(refused.value)
    assert refused.value.where.startswith(str(path))
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["", "stage = []", "stage = 1", "[stage]\nname = 'a'", "[[stage"])
def test_a_file_that_is_no_pipeline_is_refused(tmp_path, text) -> None:
    with pytest.raises(ConfigInvalid, match=r"words\.toml"):
        read_pipeline(_write(tmp_path / "words.toml", text))
    with pytest.raises(ConfigInvalid, match="no such pipeline"):
        read_pipeline(tmp_path / "word.toml")


def test_a_file_without_a_stage_says_how_one_begins(tmp_path) -> None:
    with pytest.raises(ConfigInvalid, match=r"no stage; each begins with \[\[stage\]\]"):
        read_pipeline(_write(tmp_path / "words.toml", ""))


def test_a_file_whose_name_cannot_name_the_pipeline_needs_a_name(tmp_path) -> None:
    with pytest.raises(ConfigInvalid, match="name"):
        read_pipeline(_write(tmp_path / "my words.toml", WORDS))
    path = _write(tmp_path / "my words.toml", f'name = "words"\n{WORDS}')
    assert read_pipeline(path).name == "words"


def test_a_link_leads_to_the_folder_of_the_pipeline_but_not_of_its_annexed_content(
    tmp_path,
) -> None:
    (tmp_path / "home").mkdir()
    path = _write(tmp_path / "words.toml", WORDS)
    link, annexed = tmp_path / "home" / "words.toml", tmp_path / "home" / "annexed.toml"
    link.symlink_to(path)
    annexed.symlink_to(path)
    assert read_pipeline(link).path == path
    assert read_pipeline(annexed).path == annexed


def test_the_documented_pipeline_is_one_and_the_page_names_every_key(tmp_path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.+?)```", page, re.DOTALL)
    pipeline = read_pipeline(_write(tmp_path / "words.toml", text))
    assert pipeline.depends_on == {"demux": (), "names": (), "hear": ("demux", "names")}
    rows = "".join(re.findall(r"^\| (`.+?) \|", page, re.MULTILINE))
    assert {*re.findall(r"`(\w+)`", rows)} == {*PipelineStage.model_fields}
    assert {*re.findall(r"`\{(\w+)\}`", rows)} == {*PLACEHOLDERS}


def test_a_pipeline_that_comes_with_badc_is_found_by_its_name_unless_a_file_has_it(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "media").mkdir()
    assert read_pipeline(find_pipeline(Path("media"))).name == "media"
    (tmp_path / "media").rmdir()
    (tmp_path / "media").write_text('[[stage]]\nname = "one"\ncommand = ["true"]\n')
    assert find_pipeline(Path("media")) == Path("media")
    assert find_pipeline(Path("other.toml")) == Path("other.toml")
