CREATE VIEW chunks_by_recording AS
SELECT
    recording_id,
    count(*) AS chunks,
    count(*) FILTER (status = 'error') AS failed_chunks,
    count(*) FILTER (status = 'stub') AS stub_chunks,
    sum(effort_s) AS effort_s,
    sum(dead_s) AS dead_s
FROM chunks
GROUP BY recording_id;
