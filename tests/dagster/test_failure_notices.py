"""What others hear of failed runs, and what assets and runs say of themselves."""

import json
import sys
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest
from support.commands import run_badc

from badc_dagster.definitions import build_defs
from badc_dagster.failure_notices import build_failure_sensor, notify
from badc_dagster.jobs import assets_of_run

APPEND = "import sys; open('got', 'a').write(sys.stdin.read() + '---')"
NOTIFY = f"\n[notify]\ncommand = {json.dumps([sys.executable, '-c', APPEND])}\n"


@pytest.fixture
def with_bad(graph):
    """Returns three recordings, one of them not readable, with a command for notices."""
    graph.configure(NOTIFY)
    (graph.root / "audio" / "S1" / "rec_2.wav").write_bytes(b"RIFF")
    return graph


def notices(graph):
    path = graph.root / "got"
    return path.read_text("utf-8").split("---")[:-1] if path.exists() else []


def test_badc_run_notifies_once_of_what_failed_in_it(with_bad):
    run_badc("run", with_bad.root, folder=with_bad.root, code=1)
    (notice,) = notices(with_bad)
    assert notice.startswith(f"BADC: 1 recording failed in {with_bad.root}\n\nrec_2: ")
    assert "badc status" in notice
    run_badc("run", with_bad.root, folder=with_bad.root, code=1)
    assert len(notices(with_bad)) == 2, "it was tried again, and failed again"


def test_a_failed_run_of_the_web_interface_is_notified_of_and_one_of_badc_run_is_not(with_bad):
    with_bad.scan()
    result = with_bad.run_range("recording", "rec_1", "rec_3")
    assert not result.success
    run = with_bad.instance.get_run_by_id(result.run_id)
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_notices",
        dagster_instance=with_bad.instance,
        dagster_run=run,
        dagster_event=next(one for one in result.all_events if one.is_job_failure),
    )
    build_failure_sensor(with_bad.connection)(context.for_run_failure())
    (notice,) = notices(with_bad)
    assert notice.startswith(f"BADC: 1 recording failed in {with_bad.root}\n\nrec_2: ")
    of_command = run.with_tags({**run.tags, "badc/started_by": "badc run"})
    assert notify(with_bad.instance, with_bad.connection, of_command) == ""
    assert len(notices(with_bad)) == 1
    assert run.tags["badc/recordings"] == "rec_1, rec_3"


def test_a_failed_run_from_the_launchpad_is_notified_of_by_its_own_dataset_alone(with_bad):
    with_bad.scan()
    result = with_bad.execute("pipeline_job", tags={"dagster/partition": "rec_2"})
    run = with_bad.instance.get_run_by_id(result.run_id)
    assert not result.success
    assert not run.asset_selection
    other = replace(with_bad.connection, name="other", is_main=False)
    assert notify(with_bad.instance, other, run) == ""
    assert notices(with_bad) == []
    assert notify(with_bad.instance, with_bad.connection, run) == ""
    assert len(notices(with_bad)) == 1
    review = dg.DagsterRun(job_name=with_bad.connection.scoped("review_job"))
    made = assets_of_run(with_bad.connection, review)
    assert made == {with_bad.key("review_queue"), with_bad.key("review_clips")}
    assert assets_of_run(other, review) == set()


def test_settings_say_who_owns_assets_and_when_the_corpus_is_too_old(with_bad):
    names = {one.name for one in with_bad.defs.sensors}
    assert names == {"new_audio_sensor"}, "no command was set when these were built"
    with_bad.configure(
        f'{NOTIFY}[web_interface]\nowners = ["team:birds", "a@b.org"]\nfresh_within_h = 36\n'
    )
    defs = build_defs([with_bad.connection])
    assert {one.name for one in defs.sensors} == {"new_audio_sensor", "failure_notices"}
    graph = defs.resolve_asset_graph()
    for name in ("recordings", "detections", "corpus_detections", "corpus_report"):
        assert graph.get(with_bad.key(name)).owners == ["team:birds", "a@b.org"]
    spec = defs.resolve_assets_def(with_bad.key("corpus_report")).get_asset_spec()
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36))
    assert spec.group_name == with_bad.connection.name
    described = graph.get(with_bad.key("raw_detections"))
    assert "Missing, in grey" in described.description
    assert described.tags["badc/stage"] == "raw_detections"
