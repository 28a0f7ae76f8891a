CREATE VIEW recording_summary AS
SELECT
    recording_id,
    sum(detections)::BIGINT AS detections,
    round(sum(total) / sum(detections), 6) AS avg_confidence
FROM counts_by_recording
GROUP BY recording_id
ORDER BY detections DESC, recording_id;
