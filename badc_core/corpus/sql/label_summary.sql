-- Averages are over detections, never over averages.
CREATE VIEW label_summary AS
SELECT
    label, label_name,
    sum(detections)::BIGINT AS detections,
    round(sum(total) / sum(detections), 6) AS avg_confidence,
    sum(expected)::BIGINT AS expected,
    sum(not_expected)::BIGINT AS not_expected,
    sum(detections - expected - not_expected)::BIGINT AS not_known,
    round(sum(total_p) / nullif(sum(calibrated), 0), 6) AS avg_calibrated_p
FROM counts_by_station
GROUP BY label, label_name
ORDER BY detections DESC, label, label_name;
