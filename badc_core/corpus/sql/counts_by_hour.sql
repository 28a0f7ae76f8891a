-- Detections of each hour of each day, by local time at the station; in a corpus, a row for each of
-- its parts. The local hour is that of the detection's own moment, as in effort_by_hour, and is
-- looked up once for each quarter-hour of a recording, the step of all time zones.
-- Recordings whose start is unknown are not here.
CREATE VIEW counts_by_hour AS
WITH placed AS (
    SELECT
        recording_id, study_area, location, utc_offset_min, start_utc,
        CASE WHEN timezone IN (SELECT name FROM pg_timezone_names()) THEN timezone END AS zone,
        epoch_ms(start_local::TIMESTAMP) AS origin_ms
    FROM recordings WHERE start_local IS NOT NULL
), found AS (
    SELECT
        recording_id,
        floor((origin_ms + absolute_time_ms) / 900000)::BIGINT AS quarter,
        label, label_name,
        any_value(scientific_name) AS scientific_name,
        count(*) AS detections,
        count(*) FILTER (is_expected) AS expected,
        count(*) FILTER (NOT is_expected) AS not_expected,
        max(confidence) AS best,
        sum(confidence) AS total
    FROM real_detections JOIN placed USING (recording_id)
    GROUP BY recording_id, quarter, label, label_name
), moments AS (
    SELECT recording_id, quarter, study_area, location,
        CASE
            WHEN zone IS NULL OR start_utc IS NULL THEN make_timestamp(quarter * 900000000)
            ELSE timezone(
                zone, make_timestamptz((quarter * 15 - utc_offset_min) * 60000000)
            )
        END AS local_time
    FROM (SELECT DISTINCT recording_id, quarter FROM found) JOIN placed USING (recording_id)
)
SELECT
    study_area, location,
    local_time::DATE AS local_date,
    hour(local_time) AS local_hour,
    label, label_name,
    any_value(scientific_name) AS scientific_name,
    sum(detections)::BIGINT AS detections,
    sum(expected)::BIGINT AS expected,
    sum(not_expected)::BIGINT AS not_expected,
    max(best) AS best,
    sum(total) AS total
FROM found JOIN moments USING (recording_id, quarter)
GROUP BY study_area, location, local_date, local_hour, label, label_name;
