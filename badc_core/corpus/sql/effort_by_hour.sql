-- Seconds analysed in each hour of each day, by local time at the station.
-- A chunk that spans hours is shared out by quarter-hours, the step of all time zones, less what of
-- each was not analysed; each has the local hour of its own moment, so that a night in which the
-- clocks change is counted rightly.
-- Recordings whose start is unknown are not here. DuckDB's // and % round toward zero: floor() is
-- needed for dates before 1970. Plain TIMESTAMPs, since epoch_ms of a TIMESTAMP_MS fails in 2.0.1.
CREATE VIEW effort_by_hour AS
WITH placed AS (
    SELECT
        chunk_id, study_area, location, effort_s, utc_offset_min, start_utc,
        CASE WHEN timezone IN (SELECT name FROM pg_timezone_names()) THEN timezone END AS zone,
        epoch_ms(start_local::TIMESTAMP) AS origin_ms,
        coalesce(not_analysed, []) AS gaps,
        origin_ms + chunk_start_ms AS begin_ms,
        greatest(origin_ms + chunk_end_ms, begin_ms + 1) AS end_ms
    FROM chunks JOIN recordings USING (recording_id)
    WHERE start_local IS NOT NULL AND effort_s > 0
), cut AS (
    SELECT *, unnest(range(
        floor(begin_ms / 900000)::BIGINT, floor((end_ms - 1) / 900000)::BIGINT + 1
    )) AS quarter
    FROM placed
), shared AS (
    SELECT *,
        greatest(begin_ms, quarter * 900000) AS from_ms,
        least(end_ms, (quarter + 1) * 900000) AS to_ms,
        greatest(0.001, to_ms - from_ms - coalesce(list_sum([
            greatest(0, least(to_ms, gap.end_ms + origin_ms) - greatest(from_ms, gap.start_ms + origin_ms))
            for gap in gaps
        ]), 0)) AS own_ms
    FROM cut
), timed AS (
    SELECT
        study_area, location,
        CASE
            WHEN zone IS NULL OR start_utc IS NULL THEN make_timestamp(quarter * 900000000)
            ELSE timezone(
                zone, make_timestamptz((quarter * 15 - utc_offset_min) * 60000000)
            )
        END AS local_time,
        effort_s * own_ms / sum(own_ms) OVER (PARTITION BY chunk_id) AS effort_s
    FROM shared
)
SELECT
    study_area, location,
    local_time::DATE AS local_date,
    hour(local_time) AS local_hour,
    sum(effort_s) AS effort_s
FROM timed
GROUP BY ALL
ORDER BY ALL;
