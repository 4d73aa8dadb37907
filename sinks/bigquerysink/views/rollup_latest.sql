-- Each window and group once: of its rows that of the last replacement, and of these the one
-- with the most records; a row of no records takes the group back. A filter on window_start
-- reads its partitions alone.
SELECT *
FROM `{{.Table}}`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY window_start, rollup_id
  ORDER BY COALESCE(revision, 0) DESC, records DESC
) = 1 AND records > 0
