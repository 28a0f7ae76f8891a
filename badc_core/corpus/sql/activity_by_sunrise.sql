-- Detections by half-hour before or after sunrise, with the seconds analysed in that half-hour over
-- all days: what was listened to twice as long is not twice as lively.
-- Moments without a sunrise are not here, see effort_by_sunrise.
CREATE VIEW activity_by_sunrise AS
WITH effort AS (
    SELECT minutes_from_sunrise, sum(effort_s) AS effort_s
    FROM effort_by_sunrise GROUP BY minutes_from_sunrise
), found AS (
    SELECT
        label, label_name, minutes_from_sunrise,
        sum(detections)::BIGINT AS detections,
        round(sum(total) / sum(detections), 6) AS avg_confidence
    FROM counts_by_sunrise
    WHERE minutes_from_sunrise IS NOT NULL
    GROUP BY label, label_name, minutes_from_sunrise
)
SELECT
    label, label_name, minutes_from_sunrise, detections, avg_confidence,
    coalesce(effort_s, 0) AS effort_s,
    round(detections * 3600 / nullif(effort_s, 0), 3) AS detections_per_hour
FROM found LEFT JOIN effort USING (minutes_from_sunrise)
ORDER BY label, label_name, minutes_from_sunrise;
