-- Steps up and down at edges of what each table covers; where as many are up as there are tables.
CREATE TABLE common AS
WITH steps AS (
    SELECT table_no, recording_id, start_ms AS at_ms, 1 AS step FROM covered
    UNION ALL SELECT table_no, recording_id, end_ms, -1 FROM covered
), edges AS (
    SELECT table_no, recording_id, at_ms, sum(step) AS step FROM steps GROUP BY ALL
), depths AS (
    SELECT *, sum(step) OVER upward AS depth, depth - step AS before FROM edges
    WINDOW upward AS (PARTITION BY table_no, recording_id ORDER BY at_ms)
), turns AS (
    SELECT recording_id, at_ms, sum((depth > 0)::INTEGER - (before > 0)::INTEGER) AS turn
    FROM depths GROUP BY ALL
), stretches AS (
    SELECT recording_id, at_ms AS start_ms, sum(turn) OVER onward AS n_tables,
        lead(at_ms) OVER onward AS end_ms
    FROM turns WHERE turn <> 0 WINDOW onward AS (PARTITION BY recording_id ORDER BY at_ms)
)
SELECT dense_rank() OVER (ORDER BY recording_id)::INTEGER AS recording_no, recording_id,
    start_ms, end_ms
FROM stretches WHERE n_tables = (SELECT count(*) FROM tables)
