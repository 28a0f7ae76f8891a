-- Seconds analysed in each hour of each day, by local time at the station.
-- A chunk that spans hours is shared out; recordings whose start is unknown are not here.
-- Plain TIMESTAMPs, since epoch_ms of a TIMESTAMP_MS fails in DuckDB 2.0.1.
CREATE VIEW effort_by_hour AS
WITH placed AS (
    SELECT
        study_area, location, effort_s,
        greatest(chunk_end_ms - chunk_start_ms, 1) AS length_ms,
        epoch_ms(start_local::TIMESTAMP) + chunk_start_ms AS begin_ms,
        begin_ms + length_ms AS end_ms
    FROM chunks JOIN recordings USING (recording_id)
    WHERE start_local IS NOT NULL AND effort_s > 0
), cut AS (
    SELECT *, unnest(range(begin_ms // 3600000, (end_ms - 1) // 3600000 + 1)) AS hour_number
    FROM placed
)
SELECT
    study_area, location,
    make_timestamp(hour_number * 3600000000)::DATE AS local_date,
    hour_number % 24 AS local_hour,
    sum(effort_s * (
        least(end_ms, (hour_number + 1) * 3600000) - greatest(begin_ms, hour_number * 3600000)
    ) / length_ms) AS effort_s
FROM cut
GROUP BY ALL
ORDER BY ALL;
