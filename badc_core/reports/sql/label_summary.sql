-- Averages are over detections, never over averages.
CREATE VIEW label_summary AS
SELECT label, label_name, count(*) AS detections, round(avg(confidence), 6) AS avg_confidence
FROM real_detections
GROUP BY label, label_name
ORDER BY detections DESC, label, label_name;
