-- Buckets of the time since a recording's start, by the detection's own time and not its chunk's.
-- activity_by_hour lays detections on the clock instead.
CREATE VIEW timeline_summary AS
SELECT
    minute // bucket_minutes AS bucket_index,
    bucket_index * bucket_minutes * 60000 AS bucket_start_ms,
    sum(detections)::BIGINT AS detections,
    round(sum(total) / sum(detections), 6) AS avg_confidence
FROM counts_by_minute CROSS JOIN settings
GROUP BY bucket_index, bucket_minutes
ORDER BY bucket_index;
