-- Of every station and local day, the seconds recorded, analysed and failed, and those that were
-- neither: dead, without any sound, or left over at a recording's end.
-- The day is missing where the clock is not known. Recordings without result are not here.
CREATE VIEW coverage_by_station_day AS
WITH found AS (
    SELECT
        study_area, location, local_date,
        sum(recorded_ms) / 1000 AS recorded_s,
        sum(failed_ms) / 1000 AS failed_s
    FROM recorded_by_day GROUP BY ALL
)
SELECT
    f.study_area, f.location, f.local_date, recorded_s,
    coalesce(effort_s, 0) AS effort_s,
    failed_s,
    round(greatest(0, recorded_s - coalesce(effort_s, 0) - failed_s), 3) AS not_analysed_s
FROM found f LEFT JOIN effort_by_station_day e
    ON f.study_area IS NOT DISTINCT FROM e.study_area
    AND f.location IS NOT DISTINCT FROM e.location
    AND f.local_date IS NOT DISTINCT FROM e.local_date
ORDER BY f.study_area, f.location, f.local_date;
