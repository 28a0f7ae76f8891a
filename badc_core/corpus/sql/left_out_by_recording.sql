-- What was left out of the detections of a recording, as not expected there and then.
CREATE VIEW left_out_by_recording AS
SELECT recording_id, one.label_name AS label_name, sum(one.detections)::BIGINT AS detections
FROM (SELECT recording_id, unnest(left_out) AS one FROM chunks WHERE len(left_out) > 0)
GROUP BY ALL;
