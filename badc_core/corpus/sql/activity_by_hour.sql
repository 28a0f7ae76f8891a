-- Detections by hour of the local day, with the seconds analysed in that hour over all days:
-- an hour that was listened to twice as long is not twice as lively.
CREATE VIEW activity_by_hour AS
WITH hour_effort AS (
    SELECT local_hour, sum(effort_s) AS effort_s FROM effort_by_hour GROUP BY local_hour
), found AS (
    SELECT
        label, label_name, local_hour,
        sum(detections)::BIGINT AS detections,
        round(sum(total) / sum(detections), 6) AS avg_confidence
    FROM counts_by_hour
    GROUP BY label, label_name, local_hour
)
SELECT
    label, label_name, local_hour, detections, avg_confidence,
    coalesce(effort_s, 0) AS effort_s,
    round(detections * 3600 / nullif(effort_s, 0), 3) AS detections_per_hour
FROM found LEFT JOIN hour_effort USING (local_hour)
ORDER BY label, label_name, local_hour;
