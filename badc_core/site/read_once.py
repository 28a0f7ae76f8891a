"""What most pages are made of, read once, as each use of a view reads the files of all parts."""

import duckdb

_SUMMARIES = """
    CREATE TEMP TABLE effort_by_recording AS SELECT * FROM effort_by_recording;
    CREATE TEMP TABLE page_recordings AS SELECT e.*, r.is_silent, r.lat, r.lon
        FROM effort_by_recording e JOIN recordings r USING (recording_id);
    CREATE TEMP TABLE effort_by_hour AS SELECT * FROM effort_by_hour;
    CREATE TEMP TABLE effort_by_sunrise AS SELECT * FROM effort_by_sunrise;
    CREATE TEMP TABLE counts_by_station AS SELECT * FROM counts_by_station;
    CREATE TEMP TABLE counts_by_hour AS
        SELECT label, label_name, local_date, local_hour, sum(detections)::BIGINT AS detections
        FROM counts_by_hour GROUP BY ALL
"""
"""Of the hours in which something was found, no page needs to know at which station that was."""

_BEST = """
    CREATE TEMP TABLE counts_by_recording AS
    WITH stations AS (
        SELECT label, max(best) AS best FROM counts_by_station
        GROUP BY label, study_area, location
    ), scores AS (
        SELECT label, if(count(*) < $2, '-inf', list_min(max(best, $2))) AS best_of_most
        FROM stations GROUP BY label
    ), numbers AS (
        SELECT label, list_min(max(detections, $1)) AS most
        FROM counts_by_recording GROUP BY label
    )
    SELECT label, label_name, scientific_name, recording_id, detections, best
    FROM counts_by_recording JOIN scores USING (label) JOIN numbers USING (label)
    WHERE detections >= most OR best >= best_of_most
"""
"""Of each label, up to $1 recordings with most detections, and those to find clips in. Where there
are $2 stations, recordings with a lower score than the best of the last of these are not needed.
"""


def read_once(connection: duckdb.DuckDBPyConnection, most_recordings: int, most_tried: int) -> None:
    """Puts tables in front of views of a corpus, with what of these the pages of a dataset need.

    Of `counts_by_recording` only few rows are needed: those that may be among the recordings with
    most detections of their label, or where clips of it are looked for.

    Args:
        connection: to the corpus.
        most_recordings: shown of a label.
        most_tried: recordings in which a clip of a label is looked for, if there is one from every
            station before any second one.
    """
    connection.execute(_SUMMARIES)
    connection.execute(_BEST, [most_recordings, most_tried])
