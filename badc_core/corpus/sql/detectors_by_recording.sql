-- What found the detections of a recording.
CREATE VIEW detectors_by_recording AS
SELECT recording_id, runner, model_version, model_sha256, config_hash, count(*) AS detections
FROM detections
GROUP BY ALL;
