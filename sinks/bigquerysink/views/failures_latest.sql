-- Each dead letter once, by its position, stage and reason.
SELECT *, TIMESTAMP_TRUNC(source_time, {{.Partition}}) AS partition_time
FROM `{{.Table}}`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY TIMESTAMP_TRUNC(source_time, {{.Partition}}), dead_letter_id
  ORDER BY flowbeam_version DESC
) = 1
