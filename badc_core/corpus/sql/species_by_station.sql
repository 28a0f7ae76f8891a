CREATE VIEW species_by_station AS
WITH station_effort AS (
    SELECT study_area, location, sum(effort_s) AS effort_s FROM effort_by_recording GROUP BY ALL
), found AS (
    SELECT
        study_area, location, label, label_name,
        any_value(scientific_name) AS scientific_name,
        sum(detections)::BIGINT AS detections,
        sum(recordings)::BIGINT AS recordings,
        round(sum(total) / sum(detections), 6) AS avg_confidence
    FROM counts_by_station
    GROUP BY study_area, location, label, label_name
)
SELECT
    f.*, e.effort_s,
    round(f.detections * 3600 / nullif(e.effort_s, 0), 3) AS detections_per_hour
FROM found f JOIN station_effort e
    ON f.study_area IS NOT DISTINCT FROM e.study_area
    AND f.location IS NOT DISTINCT FROM e.location
ORDER BY f.study_area, f.location, f.detections DESC, f.label;
