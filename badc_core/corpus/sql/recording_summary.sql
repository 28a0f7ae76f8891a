CREATE VIEW recording_summary AS
SELECT
    recording_id,
    detections,
    round(total / detections, 6) AS avg_confidence,
    expected,
    not_expected,
    detections - expected - not_expected AS not_known
FROM totals_by_recording
ORDER BY detections DESC, recording_id;
