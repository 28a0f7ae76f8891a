-- Lengths of chunks that overlap would count twice, so this goes by how far chunks reach.
WITH lengths AS (
    SELECT recording_id, sum(end_ms - start_ms) AS length_ms FROM common GROUP BY ALL
), reached AS (
    SELECT *, max(end_ms) OVER (
        PARTITION BY table_no, recording_id ORDER BY start_ms, end_ms
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS reached_ms
    FROM covered
), whole AS (
    SELECT table_no, recording_id,
        sum(greatest(0, end_ms - greatest(start_ms, coalesce(reached_ms, start_ms)))) AS whole_ms
    FROM reached WHERE end_ms < $never_ms GROUP BY ALL
)
SELECT recording_id, any_value(length_ms) AS length_ms, max(whole_ms) AS whole_ms
FROM lengths LEFT JOIN whole USING (recording_id) GROUP BY recording_id ORDER BY recording_id
