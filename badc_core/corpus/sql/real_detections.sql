-- What every count is made of: placeholder rows ('none') of other programs are no detections.
CREATE VIEW real_detections AS
SELECT * FROM detections
WHERE is_detection AND label <> 'none';
