-- Detections by station, label and half-hour before or after sunrise, as in effort_by_sunrise.
-- Averages are made of totals, never of averages.
CREATE VIEW counts_by_sunrise AS
SELECT
    r.study_area, r.location,
    CASE WHEN sunrise_ms IS NOT NULL THEN 30 * least(greatest(
        floor((absolute_time_ms - sunrise_ms) / 1800000)::BIGINT, -24), 23
    ) END AS minutes_from_sunrise,
    without_sunrise, label, label_name,
    count(*) AS detections,
    max(confidence) AS best,
    sum(confidence) AS total
FROM real_detections d JOIN recordings r USING (recording_id) JOIN sunrises s
    ON s.recording_id = d.recording_id AND from_ms <= absolute_time_ms AND absolute_time_ms < to_ms
GROUP BY ALL;
