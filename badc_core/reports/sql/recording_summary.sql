CREATE VIEW recording_summary AS
SELECT recording_id, count(*) AS detections, round(avg(confidence), 6) AS avg_confidence
FROM real_detections
GROUP BY recording_id
ORDER BY detections DESC, recording_id;
