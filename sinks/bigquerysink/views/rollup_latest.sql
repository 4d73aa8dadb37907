-- Each window and group once: the row with the most records is the newest. A filter on
-- window_start reads its partitions alone.
SELECT *
FROM `{{.Table}}`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, rollup_id ORDER BY records DESC) = 1
