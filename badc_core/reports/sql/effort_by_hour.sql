-- Seconds analysed in each hour of each day, by local time at the station.
-- A chunk that spans hours is shared out by quarter-hours, the step of all time zones; each has the
-- local hour of its own moment, so that a night in which the clocks change is counted rightly.
-- Recordings whose start is unknown are not here. DuckDB's // and % round toward zero: floor() is
-- needed for dates before 1970. Plain TIMESTAMPs, since epoch_ms of a TIMESTAMP_MS fails in 2.0.1.
CREATE VIEW effort_by_hour AS
WITH placed AS (
    SELECT
        study_area, location, effort_s, utc_offset_min, start_utc,
        CASE WHEN timezone IN (SELECT name FROM pg_timezone_names()) THEN timezone END AS zone,
        greatest(chunk_end_ms - chunk_start_ms, 1) AS length_ms,
        epoch_ms(start_local::TIMESTAMP) + chunk_start_ms AS begin_ms,
        begin_ms + length_ms AS end_ms
    FROM chunks JOIN recordings USING (recording_id)
    WHERE start_local IS NOT NULL AND effort_s > 0
), cut AS (
    SELECT *, unnest(range(
        floor(begin_ms / 900000)::BIGINT, floor((end_ms - 1) / 900000)::BIGINT + 1
    )) AS quarter
    FROM placed
), told AS (
    SELECT
        study_area, location,
        CASE
            WHEN zone IS NULL OR start_utc IS NULL THEN make_timestamp(quarter * 900000000)
            ELSE timezone(
                zone, make_timestamptz((quarter * 15 - utc_offset_min) * 60000000)
            )
        END AS local_time,
        effort_s * (
            least(end_ms, (quarter + 1) * 900000) - greatest(begin_ms, quarter * 900000)
        ) / length_ms AS effort_s
    FROM cut
)
SELECT
    study_area, location,
    local_time::DATE AS local_date,
    hour(local_time) AS local_hour,
    sum(effort_s) AS effort_s
FROM told
GROUP BY ALL
ORDER BY ALL;
