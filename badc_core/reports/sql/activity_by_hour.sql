-- Detections by hour of the local day, with the seconds analysed in that hour over all days:
-- an hour that was listened to twice as long is not twice as lively.
-- The local hour is that of the detection's own moment, as in effort_by_hour.
CREATE VIEW activity_by_hour AS
WITH hour_effort AS (
    SELECT local_hour, sum(effort_s) AS effort_s FROM effort_by_hour GROUP BY local_hour
), placed AS (
    SELECT
        d.label, d.label_name, d.confidence, r.utc_offset_min, r.start_utc,
        CASE WHEN r.timezone IN (SELECT name FROM pg_timezone_names()) THEN r.timezone END AS zone,
        epoch_ms(r.start_local::TIMESTAMP) + d.absolute_time_ms AS clock_ms
    FROM real_detections d JOIN recordings r USING (recording_id)
    WHERE r.start_local IS NOT NULL
), found AS (
    SELECT
        label, label_name,
        hour(CASE
            WHEN zone IS NULL OR start_utc IS NULL THEN make_timestamp(clock_ms * 1000)
            ELSE timezone(zone, make_timestamptz((clock_ms - utc_offset_min * 60000) * 1000))
        END) AS local_hour,
        count(*) AS detections,
        round(avg(confidence), 6) AS avg_confidence
    FROM placed
    GROUP BY ALL
)
SELECT
    label, label_name, local_hour, detections, avg_confidence,
    coalesce(effort_s, 0) AS effort_s,
    round(detections * 3600 / nullif(effort_s, 0), 3) AS detections_per_hour
FROM found LEFT JOIN hour_effort USING (local_hour)
ORDER BY label, label_name, local_hour;
