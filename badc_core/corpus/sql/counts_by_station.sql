-- What label has how many detections at which station; in a corpus, a row for each of its parts.
-- Averages are made of totals, never of averages.
CREATE VIEW counts_by_station AS
SELECT
    study_area, location, label, label_name,
    any_value(scientific_name) AS scientific_name,
    count(*) AS recordings,
    sum(detections)::BIGINT AS detections,
    sum(expected)::BIGINT AS expected,
    sum(not_expected)::BIGINT AS not_expected,
    max(best) AS best,
    sum(total) AS total,
    sum(calibrated)::BIGINT AS calibrated,
    sum(total_p) AS total_p
FROM counts_by_recording LEFT JOIN recordings USING (recording_id)
GROUP BY study_area, location, label, label_name;
