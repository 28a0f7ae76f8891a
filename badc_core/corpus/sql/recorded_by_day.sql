-- Of every station and local day, the seconds recorded, and those of them that failed; in a corpus,
-- a row for each of its parts. The day is missing where the clock is not known.
CREATE VIEW recorded_by_day AS
WITH placed AS (
    SELECT
        recording_id, study_area, location, duration_s, utc_offset_min, start_utc,
        CASE WHEN timezone IN (SELECT name FROM pg_timezone_names()) THEN timezone END AS zone,
        epoch_ms(start_local::TIMESTAMP) AS origin_ms
    FROM recordings
), spans AS (
    SELECT recording_id, 0 AS from_ms, round(duration_s * 1000)::BIGINT AS to_ms, false AS failed
    FROM placed
    UNION ALL
    SELECT recording_id, chunk_start_ms + overlap_ms, chunk_end_ms, true
    FROM chunks WHERE status = 'error'
), cut AS (
    -- At quarter-hours, the step of all time zones, as in effort_by_hour.
    SELECT *, unnest(CASE WHEN origin_ms IS NULL THEN [NULL] ELSE range(
        floor((origin_ms + from_ms) / 900000)::BIGINT,
        floor((origin_ms + greatest(to_ms, from_ms + 1) - 1) / 900000)::BIGINT + 1
    ) END) AS quarter
    FROM spans JOIN placed USING (recording_id)
), dated AS (
    SELECT
        study_area, location, failed,
        CASE
            WHEN zone IS NULL OR start_utc IS NULL THEN make_timestamp(quarter * 900000000)
            ELSE timezone(zone, make_timestamptz((quarter * 15 - utc_offset_min) * 60000000))
        END::DATE AS local_date,
        least(to_ms, coalesce((quarter + 1) * 900000 - origin_ms, to_ms))
            - greatest(from_ms, coalesce(quarter * 900000 - origin_ms, from_ms)) AS ms
    FROM cut
)
SELECT
    study_area, location, local_date,
    coalesce(sum(ms) FILTER (NOT failed), 0)::BIGINT AS recorded_ms,
    coalesce(sum(ms) FILTER (failed), 0)::BIGINT AS failed_ms
FROM dated
GROUP BY study_area, location, local_date;
