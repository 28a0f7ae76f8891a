-- The furthest end of all that begin before it ends tells whether any of them reaches a detection,
-- so each is looked up once, however many others there are around it.
CREATE TABLE matched AS
WITH numbered AS (
    SELECT *, row_number() OVER () AS number FROM found WHERE is_compared
), reach AS (
    SELECT table_no, species_no, recording_no, start_ms, max(end_ms) OVER (
        PARTITION BY table_no, species_no, recording_no ORDER BY start_ms
    ) AS reach_ms
    FROM found WHERE end_ms - start_ms >= $least_ms
), asked AS (
    SELECT numbered.*, tables.table_no AS other_no,
        numbered.end_ms - $least_ms AS latest_start_ms
    FROM numbered JOIN tables ON tables.table_no <> numbered.table_no
)
SELECT asked.table_no, asked.species_no, asked.number, asked.other_no, coalesce(
    reach.reach_ms >= asked.start_ms + $least_ms
    AND asked.end_ms - asked.start_ms >= $least_ms, false
) AS is_agreed
FROM asked ASOF LEFT JOIN reach ON reach.table_no = asked.other_no
    AND reach.species_no = asked.species_no AND reach.recording_no = asked.recording_no
    AND reach.start_ms <= asked.latest_start_ms
