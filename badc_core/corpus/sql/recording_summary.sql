CREATE VIEW recording_summary AS
SELECT
    recording_id,
    sum(detections)::BIGINT AS detections,
    round(sum(total) / sum(detections), 6) AS avg_confidence,
    sum(expected)::BIGINT AS expected,
    sum(not_expected)::BIGINT AS not_expected,
    sum(detections - expected - not_expected)::BIGINT AS not_known
FROM counts_by_recording
GROUP BY recording_id
ORDER BY detections DESC, recording_id;
