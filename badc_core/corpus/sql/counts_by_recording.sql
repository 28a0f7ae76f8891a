-- What label has how many detections in which recording. Averages are made of totals, never of
-- averages; a species whose range is not known is neither expected nor not expected.
CREATE VIEW counts_by_recording AS
SELECT
    recording_id, label, label_name,
    any_value(scientific_name) AS scientific_name,
    count(*) AS detections,
    count(*) FILTER (is_expected) AS expected,
    count(*) FILTER (NOT is_expected) AS not_expected,
    max(confidence) AS best,
    sum(confidence) AS total,
    count(calibrated_p) AS calibrated,
    sum(calibrated_p) AS total_p
FROM real_detections
GROUP BY recording_id, label, label_name;
