INSERT INTO found
SELECT $1, labels.species_no, places.recording_no, one.absolute_time_ms, one.absolute_end_ms,
    one.confidence, coalesce(one.absolute_time_ms < common.end_ms, false),
    coalesce(one.absolute_time_ms < greatest(common.end_ms, reached.end_ms), false)
FROM arriving AS one
JOIN labels ON labels.common = one.label_name
    AND labels.scientific = coalesce(one.scientific_name, '')
JOIN (SELECT DISTINCT recording_id, recording_no FROM common) AS places
    ON places.recording_id = one.recording_id
ASOF LEFT JOIN common ON common.recording_no = places.recording_no
    AND common.start_ms <= one.absolute_time_ms
ASOF LEFT JOIN common AS reached ON reached.recording_no = places.recording_no
    AND reached.start_ms < one.absolute_end_ms
