-- Detections of a recording, whatever was found.
CREATE VIEW totals_by_recording AS
SELECT
    recording_id,
    count(DISTINCT label) AS labels,
    sum(detections)::BIGINT AS detections,
    sum(expected)::BIGINT AS expected,
    sum(not_expected)::BIGINT AS not_expected,
    sum(total) AS total
FROM counts_by_recording
GROUP BY recording_id;
