-- Whether somebody speaks during a detection; NULL where speech was not searched for.
CREATE VIEW detections_in_speech AS
SELECT
    d.recording_id,
    d.detection_id,
    CASE WHEN s.has_speech IS NOT NULL THEN EXISTS (
        SELECT 1 FROM speech_segments AS one
        WHERE one.recording_id = d.recording_id
            AND one.start_ms < d.absolute_end_ms
            AND d.absolute_time_ms < one.end_ms
    ) END AS in_speech
FROM real_detections AS d
LEFT JOIN speech_by_recording AS s USING (recording_id);
