"""For each defect of earlier tools, and of this one at first: the test that would fail on it.

Rows that are missing are about DataLad, which has tests of its own, or about what is not built yet:
SLURM scripts, media stages.
"""

import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

_TABLE = """
D-1 two recordings of one stem overwrite each other
    a_third_rival_gets_no_bare_stem
D-1 names in capitals match no pattern
    a_pattern_knows_no_upper_case_and_may_name_folders
D-2 a link is called as its target in the annex
    an_annexed_file_keeps_its_own_name
D-3 a failed or killed run cannot be resumed
    a_killed_run_goes_on_and_ends_like_one_that_was_not
D-4 a resumed run's summary holds only what is new
    a_summary_says_what_to_skip_and_its_results_must_be_there
D-5 pipeline run twice is an error
    everything_is_done_once_with_a_plan_a_bundle_each_and_a_rollup
D-6 placeholders count as detections
    parquet_report_has_buckets_and_totals
D-7 what a program found is overwritten
    a_programs_detections_are_kept_and_gathered_with_quotes
D-8 a model is loaded for every chunk
    one_worker_loads_its_model_once_for_all_recordings
D-9 GPU figures are the whole device's
    devices_show_what_the_worker_used_not_what_everybody_did
D-10 a probe runs no model
    a_real_detector_is_measured_in_a_process_of_its_own
D-10 a probe never tries its upper bound
    the_longest_allowed_is_tried_first_and_is_the_answer_if_it_fits
D-11 FLAC cannot be cut
    manifest_split_and_run_agree_on_every_chunk
D-12 split invents chunks
    split_lists_real_chunks_and_writes_nothing
D-12 rows without files mean the whole recording
    a_virtual_row_is_a_range_of_its_recording
D-13 commas in names break tables
    a_comma_in_a_name_stays_in_its_column
D-15 a tail lies inside its predecessor
    a_tail_is_a_chunk_of_its_own_exactly_if_it_is_long_enough
D-17 a half-analysed recording is left out
    what_is_partly_done_is_run_and_what_is_done_is_left_out
D-17 a lost chunk file is not noticed
    what_is_there_is_left_out_until_it_is_damaged
D-18 a bad chunk stops the rest
    failed_chunks_cost_their_own_recording_only
D-18 a hanging chunk is waited for
    a_chunk_that_always_hangs_is_given_up_and_costs_no_other
D-19 every worker sees all GPUs
    a_worker_sees_its_gpu_only
D-20 files are half written
    a_killed_writer_never_leaves_half_a_file
D-20 a torn line stops the monitor
    a_log_with_a_torn_line_is_shown
D-21 tables are cut to what is shown
    rows_shown_are_limited_and_tables_are_not
D-21 a timeline goes by chunks
    a_timeline_goes_by_the_detection_and_not_by_its_chunk
D-21 counts by label and recording only
    summary_counts_by_station_and_local_time
D-23 GPUs idle between manifests
    one_worker_loads_its_model_once_for_all_recordings
D-24 chunks cannot be validated
    validate_says_that_all_is_well_or_what_is_wrong
D-25 two jobs created at once get one id
    fifty_processes_at_once_get_fifty_ids
D-25 the orchestrator overwrites what stages wrote
    what_stages_record_survives_the_orchestrator
D-25 writers of one manifest lose each other's stages
    twenty_processes_write_one_manifest_while_it_is_read
D-25 a pipeline stays failed after a successful retry
    a_success_clears_an_earlier_failure
D-25 a resumed pipeline trusts names, not files
    why_stages_must_run_again
D-25 only ten stages complete a pipeline
    ten_stages_or_any_number_complete_a_pipeline
D-25 an optional stage that fails is in failed_stages
    an_optional_stage_that_fails_is_skipped_with_its_error
D-26 secrets are copied into outputs
    no_secret_leaves_the_configuration_that_only_its_owner_may_read
E1 commands and options are gone without a word
    it_is_in_the_table_and_can_be_typed
E2 paths from the original's folder are not found
    its_run_config_finds_everything_wherever_it_is_typed
E2 nor in a clone of another name
    a_clone_under_another_name_finds_its_own_files
E3 an installed package has no home
    installed_elsewhere_the_home_is_in_the_users_data_folder
E4 looking at a dataset adds it
    status_of_an_unknown_dataset_adds_nothing
E6 no JSON, no progress in a pipe, failures on stdout
    run_reports_json_and_progress_lines_and_status_agrees
E7 a path inside a dataset is refused without a hint
    a_path_inside_a_dataset_leads_to_the_dataset
E8 Ctrl-C prints a traceback
    ctrl_c_while_a_command_starts_prints_one_line
E12 one chunk is `1 chunks`
    one_chunk_is_not_chunks
"""
"""What went wrong, and below it the test."""

DEFECTS = dict(zip(*[map(str.strip, _TABLE.strip().splitlines())] * 2, strict=True))


@cache
def names():
    """Returns the names of all tests."""
    texts = (path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"^def test_(\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("defect", DEFECTS)
def test_there_is_a_test_for_it(defect):
    assert DEFECTS[defect] in names()
