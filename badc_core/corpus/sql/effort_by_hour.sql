-- Seconds analysed in each hour of each day, by local time at the station.
-- A chunk that spans hours is shared out by quarter-hours, the step of all time zones, less what of
-- each was not analysed; each has the local hour of its own moment, so that a night in which the
-- clocks change is counted rightly. Most chunks lie in one quarter-hour, and need no sharing.
-- Recordings whose start is unknown are not here. DuckDB's // and % round toward zero: floor() is
-- needed for dates before 1970. Plain TIMESTAMPs, since epoch_ms of a TIMESTAMP_MS fails in 2.0.1.
CREATE VIEW effort_by_hour AS
WITH placed AS (
    SELECT
        recording_id, chunk_id, effort_s, not_analysed,
        epoch_ms(start_local::TIMESTAMP) AS origin_ms,
        origin_ms + chunk_start_ms AS begin_ms,
        origin_ms + greatest(chunk_end_ms, chunk_start_ms + 1) AS end_ms
    FROM chunks JOIN recordings USING (recording_id)
    WHERE start_local IS NOT NULL AND effort_s > 0
), reaching AS (
    SELECT *,
        floor(begin_ms / 900000)::BIGINT AS first_quarter,
        floor((end_ms - 1) / 900000)::BIGINT AS last_quarter
    FROM placed
), cut AS (
    SELECT *, unnest(range(first_quarter, last_quarter + 1)) AS quarter
    FROM reaching WHERE first_quarter < last_quarter
), pieces AS (
    SELECT
        recording_id, chunk_id, effort_s, quarter, not_analysed,
        greatest(begin_ms, quarter * 900000) - origin_ms AS from_ms,
        least(end_ms, (quarter + 1) * 900000) - origin_ms AS to_ms
    FROM cut
), shared AS (
    SELECT recording_id, chunk_id, effort_s, quarter,
        greatest(0.001, to_ms - from_ms - coalesce(list_sum([
            greatest(0, least(to_ms, gap.end_ms) - greatest(from_ms, gap.start_ms))
            for gap in not_analysed
        ]), 0)) AS own_ms
    FROM pieces
), divided AS (
    SELECT recording_id, first_quarter AS quarter, effort_s
    FROM reaching WHERE first_quarter = last_quarter
    UNION ALL
    SELECT recording_id, quarter, effort_s * own_ms / sum(own_ms) OVER (PARTITION BY chunk_id)
    FROM shared
), zoned AS (
    SELECT *, CASE WHEN timezone IN (SELECT name FROM pg_timezone_names()) THEN timezone END AS zone
    FROM recordings
), timed AS (
    SELECT
        study_area, location,
        CASE
            WHEN zone IS NULL OR start_utc IS NULL THEN make_timestamp(quarter * 900000000)
            ELSE timezone(zone, make_timestamptz((quarter * 15 - utc_offset_min) * 60000000))
        END AS local_time,
        effort_s
    FROM (SELECT recording_id, quarter, sum(effort_s) AS effort_s FROM divided GROUP BY ALL)
    JOIN zoned USING (recording_id)
)
SELECT
    study_area, location,
    local_time::DATE AS local_date,
    hour(local_time) AS local_hour,
    sum(effort_s) AS effort_s
FROM timed
GROUP BY ALL
ORDER BY ALL;
