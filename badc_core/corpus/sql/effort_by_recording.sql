-- Silence, failure and absence kept apart: zero detections with effort are a finding,
-- zero effort is none; dead are seconds in which nothing was recorded.
CREATE VIEW effort_by_recording AS
SELECT
    recording_id, study_area, location, start_local, duration_s,
    coalesce(effort_s, 0) AS effort_s,
    coalesce(chunks, 0) AS chunks,
    coalesce(failed_chunks, 0) AS failed_chunks,
    coalesce(detections, 0) AS detections,
    coalesce(labels, 0) AS labels,
    coalesce(dead_s, 0) AS dead_s
FROM recordings
LEFT JOIN chunks_by_recording USING (recording_id)
LEFT JOIN totals_by_recording USING (recording_id)
ORDER BY recording_id;
