-- One row: how many detections are of species expected there and then, of others, and of what that
-- is not known; and how many were left out of the detections as not expected.
CREATE VIEW expected_summary AS
WITH found AS (
    SELECT
        coalesce(sum(expected), 0)::BIGINT AS expected,
        coalesce(sum(not_expected), 0)::BIGINT AS not_expected,
        coalesce(sum(not_known), 0)::BIGINT AS not_known,
        count(*) FILTER (not_expected > 0) AS labels_not_expected
    FROM label_summary
)
SELECT
    found.*,
    (SELECT coalesce(sum(detections), 0)::BIGINT FROM left_out_by_recording) AS left_out,
    (SELECT count(DISTINCT label_name) FROM left_out_by_recording) AS labels_left_out
FROM found;
