-- Detections at a station by minute since a recording's start; in a corpus, a row for each of its
-- parts.
CREATE VIEW counts_by_minute AS
SELECT
    r.study_area, r.location,
    absolute_time_ms // 60000 AS minute,
    count(*) AS detections,
    sum(confidence) AS total
FROM real_detections LEFT JOIN recordings r USING (recording_id)
GROUP BY r.study_area, r.location, minute;
