-- Effort of every station and local day; the day is missing where the clock is not known.
CREATE VIEW effort_by_station_day AS
SELECT study_area, location, local_date, sum(effort_s) AS effort_s
FROM (
    SELECT study_area, location, local_date, effort_s FROM effort_by_hour
    UNION ALL
    SELECT study_area, location, NULL, effort_s
    FROM chunks_by_recording JOIN recordings USING (recording_id)
    WHERE start_local IS NULL
)
GROUP BY ALL
ORDER BY study_area, location, local_date;
