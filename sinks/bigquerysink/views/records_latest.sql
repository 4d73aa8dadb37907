-- Each record once: of the rows with one record id in one partition that of the highest
-- revision, enriched by the newest databases. A filter on partition_time reads those
-- partitions alone.
SELECT *, TIMESTAMP_TRUNC(event_time, {{.Partition}}) AS partition_time
FROM `{{.Table}}`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY TIMESTAMP_TRUNC(event_time, {{.Partition}}), record_id
  ORDER BY revision DESC, geo_edition DESC, asn_edition DESC, received_time DESC
) = 1
