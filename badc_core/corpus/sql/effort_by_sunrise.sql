-- Seconds analysed by station and half-hour before or after sunrise, each moment by the sunrise
-- nearest to it. minutes_from_sunrise is where a half-hour begins, -720 to 690; it is missing where
-- there is no sunrise, and without_sunrise says why. Chunks are cut at the borders of half-hours,
-- and each piece has its share of the chunk's effort, less what of it was not analysed. Most chunks
-- lie between borders, and need no sharing.
CREATE VIEW effort_by_sunrise AS
WITH cut AS (
    SELECT
        chunks.recording_id, chunk_id, effort_s, sunrise_ms, without_sunrise, not_analysed,
        from_ms <= chunk_start_ms AND chunk_end_ms <= to_ms AS is_inside,
        greatest(chunk_start_ms, from_ms) AS begin_ms,
        least(greatest(chunk_end_ms, chunk_start_ms + 1), to_ms) AS end_ms
    FROM chunks JOIN sunrises
        ON sunrises.recording_id = chunks.recording_id
        AND from_ms < greatest(chunk_end_ms, chunk_start_ms + 1) AND chunk_start_ms < to_ms
    WHERE effort_s > 0
), reaching AS (
    SELECT *,
        floor((begin_ms - sunrise_ms) / 1800000)::BIGINT AS first_half,
        floor((end_ms - 1 - sunrise_ms) / 1800000)::BIGINT AS last_half
    FROM cut
), halved AS (
    SELECT *, unnest(
        CASE WHEN sunrise_ms IS NULL THEN [NULL] ELSE range(first_half, last_half + 1) END
    ) AS half_hour
    FROM reaching WHERE NOT is_inside OR first_half < last_half
), pieces AS (
    SELECT
        recording_id, chunk_id, effort_s, half_hour, without_sunrise, not_analysed,
        greatest(begin_ms, coalesce(sunrise_ms + half_hour * 1800000, begin_ms)) AS piece_ms,
        least(end_ms, coalesce(sunrise_ms + (half_hour + 1) * 1800000, end_ms)) AS piece_end_ms
    FROM halved
), shared AS (
    SELECT recording_id, chunk_id, effort_s, half_hour, without_sunrise,
        greatest(0.001, piece_end_ms - piece_ms - coalesce(list_sum([
            greatest(0, least(piece_end_ms, gap.end_ms) - greatest(piece_ms, gap.start_ms))
            for gap in not_analysed
        ]), 0)) AS own_ms
    FROM pieces
), divided AS (
    SELECT recording_id, first_half AS half_hour, without_sunrise, effort_s
    FROM reaching WHERE is_inside AND first_half IS NOT DISTINCT FROM last_half
    UNION ALL
    SELECT recording_id, half_hour, without_sunrise,
        effort_s * own_ms / sum(own_ms) OVER (PARTITION BY recording_id, chunk_id)
    FROM shared
)
SELECT
    study_area, location,
    CASE WHEN half_hour IS NOT NULL
        THEN 30 * least(greatest(half_hour, -24), 23) END AS minutes_from_sunrise,
    without_sunrise,
    sum(effort_s) AS effort_s
FROM divided JOIN recordings USING (recording_id)
GROUP BY ALL
ORDER BY ALL;
