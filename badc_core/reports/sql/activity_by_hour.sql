-- Detections by hour of the local day, with the seconds analysed in that hour over all days:
-- an hour that was listened to twice as long is not twice as lively.
CREATE VIEW activity_by_hour AS
WITH hour_effort AS (
    SELECT local_hour, sum(effort_s) AS effort_s FROM effort_by_hour GROUP BY local_hour
), found AS (
    SELECT
        d.label, d.label_name,
        (epoch_ms(r.start_local::TIMESTAMP) + d.absolute_time_ms) // 3600000 % 24 AS local_hour,
        count(*) AS detections,
        round(avg(d.confidence), 6) AS avg_confidence
    FROM real_detections d JOIN recordings r USING (recording_id)
    WHERE r.start_local IS NOT NULL
    GROUP BY ALL
)
SELECT
    label, label_name, local_hour, detections, avg_confidence,
    coalesce(effort_s, 0) AS effort_s,
    round(detections * 3600 / nullif(effort_s, 0), 3) AS detections_per_hour
FROM found LEFT JOIN hour_effort USING (local_hour)
ORDER BY label, label_name, local_hour;
