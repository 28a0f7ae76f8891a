CREATE VIEW species_by_station AS
WITH station_effort AS (
    SELECT study_area, location, sum(effort_s) AS effort_s FROM effort_by_recording GROUP BY ALL
), found AS (
    SELECT
        r.study_area, r.location, c.label, c.label_name,
        any_value(c.scientific_name) AS scientific_name,
        sum(c.detections)::BIGINT AS detections,
        count(DISTINCT recording_id) AS recordings,
        round(sum(c.total) / sum(c.detections), 6) AS avg_confidence
    FROM counts_by_recording c JOIN recordings r USING (recording_id)
    GROUP BY r.study_area, r.location, c.label, c.label_name
)
SELECT
    f.*, e.effort_s,
    round(f.detections * 3600 / nullif(e.effort_s, 0), 3) AS detections_per_hour
FROM found f JOIN station_effort e
    ON f.study_area IS NOT DISTINCT FROM e.study_area
    AND f.location IS NOT DISTINCT FROM e.location
ORDER BY f.study_area, f.location, f.detections DESC, f.label;
