-- Species -1 stands for all together. One that reaches into what is compared was there, even if
-- it begins before.
WITH amounts AS (
    SELECT coalesce(species_no, -1) AS species_no, table_no, count(*) AS detections,
        max(confidence) AS best_confidence, median(confidence) AS median_confidence
    FROM found WHERE is_compared GROUP BY GROUPING SETS ((species_no, table_no), (table_no))
), presences AS (
    SELECT DISTINCT unnest([species_no, -1]) AS species_no, recording_no, table_no
    FROM found WHERE is_present
), places AS (
    SELECT *, count(*) OVER (PARTITION BY species_no, recording_no) AS n_tables FROM presences
), recordings AS (
    SELECT species_no, table_no, count(*) AS recordings,
        count(*) FILTER (n_tables = 1) AS recordings_only
    FROM places GROUP BY ALL
), shared AS (
    SELECT species_no, count(DISTINCT recording_no) AS recordings_all FROM places
    WHERE n_tables = (SELECT count(*) FROM tables) GROUP BY ALL
), pairs AS (
    SELECT coalesce(species_no, -1) AS species_no, table_no, other_no,
        count(*) FILTER (is_agreed) AS agreed
    FROM matched
    GROUP BY GROUPING SETS ((species_no, table_no, other_no), (table_no, other_no))
), partners AS (
    SELECT species_no, table_no, number, count(*) FILTER (is_agreed) AS n_agreed
    FROM matched GROUP BY ALL
), agreements AS (
    SELECT coalesce(species_no, -1) AS species_no, table_no,
        count(*) FILTER (n_agreed > 0) AS agreed_any,
        count(*) FILTER (n_agreed = (SELECT count(*) - 1 FROM tables)) AS agreed_all
    FROM partners GROUP BY GROUPING SETS ((species_no, table_no), (table_no))
), species AS (
    SELECT -1 AS species_no UNION SELECT species_no FROM presences
)
SELECT species_no, table_no, other_no, coalesce(detections, 0) AS detections,
    coalesce(recordings, 0) AS recordings, coalesce(recordings_only, 0) AS recordings_only,
    coalesce(recordings_all, 0) AS recordings_all, best_confidence, median_confidence,
    coalesce(agreed, 0) AS agreed, agreed / detections AS share_agreed,
    coalesce(agreed_any, 0) AS agreed_any, coalesce(agreed_all, 0) AS agreed_all
FROM species CROSS JOIN tables
JOIN (SELECT table_no AS other_no FROM tables) ON other_no <> table_no
LEFT JOIN amounts USING (species_no, table_no)
LEFT JOIN recordings USING (species_no, table_no)
LEFT JOIN shared USING (species_no)
LEFT JOIN pairs USING (species_no, table_no, other_no)
LEFT JOIN agreements USING (species_no, table_no)
ORDER BY sum(detections) OVER (PARTITION BY species_no) DESC, species_no, table_no, other_no
