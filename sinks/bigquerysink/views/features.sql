-- Features of each user in each five minutes, for a model: numbers alone beside the two key
-- columns user_id and window_start, none of them NULL. Counters of bytes and the like are
-- there as logarithms too (log_...): they span nine orders of magnitude, and a distance of
-- raw values would be a distance of bytes. Train and serve on the same columns. Each record
-- counts once; bytes are scaled by the sampling rate. Only sums, counts and maxima, so that
-- a row can be checked by hand.
WITH records AS (
  SELECT
    user_id,
    TIMESTAMP_SECONDS(DIV(UNIX_SECONDS(event_time), 300) * 300) AS window_start,
    COALESCE(source_bytes_scaled, 0) AS bytes_out,
    COALESCE(destination_bytes_scaled, 0) AS bytes_in,
    COALESCE(source_packets_scaled, 0) + COALESCE(destination_packets_scaled, 0) AS packets,
    destination_ip, destination_port, destination_country, destination_asn, protocol,
    action, duration_ns, rtt_external_ns, loss_external,
    COALESCE(source_retransmits, 0) + COALESCE(destination_retransmits, 0) AS retransmits
  FROM `{{.Latest}}`
  WHERE user_id IS NOT NULL AND COALESCE(observation, 'winner') = 'winner'
),
windows AS (
  SELECT
    user_id,
    window_start,
    COUNT(*) AS flows,
    SUM(CASE WHEN action IN ('reject', 'drop') THEN 1 ELSE 0 END) AS refused,
    SUM(bytes_out) AS bytes_out,
    SUM(bytes_in) AS bytes_in,
    SUM(packets) AS packets,
    COUNT(DISTINCT destination_ip) AS destinations,
    COUNT(DISTINCT destination_port) AS ports,
    COUNT(DISTINCT destination_country) AS countries,
    COUNT(DISTINCT destination_asn) AS networks,
    COUNT(DISTINCT protocol) AS protocols,
    COALESCE(AVG(duration_ns), 0) / 1e9 AS duration_mean_s,
    COALESCE(MAX(duration_ns), 0) / 1e9 AS duration_max_s,
    COALESCE(AVG(rtt_external_ns), 0) / 1e6 AS rtt_mean_ms,
    COALESCE(MAX(loss_external), 0) AS loss_max,
    SUM(retransmits) AS retransmits
  FROM records
  GROUP BY user_id, window_start
)
SELECT
  user_id,
  window_start,
  flows,
  refused,
  refused / flows AS refused_ratio,
  bytes_out,
  bytes_in,
  bytes_out / (bytes_out + bytes_in + 1) AS out_ratio,
  packets,
  destinations,
  destinations / flows AS destinations_per_flow,
  ports,
  countries,
  networks,
  protocols,
  duration_mean_s,
  duration_max_s,
  rtt_mean_ms,
  loss_max,
  retransmits,
  LN(1 + flows) AS log_flows,
  LN(1 + bytes_out) AS log_bytes_out,
  LN(1 + bytes_in) AS log_bytes_in,
  LN(1 + destinations) AS log_destinations,
  LN(1 + ports) AS log_ports,
  -- Where the window stands in the day and in the week, as points on two circles: 23:55 is
  -- near 00:00.
  SIN(2 * 3.141592653589793 * (MOD(UNIX_SECONDS(window_start), 86400)) / 86400) AS day_sin,
  COS(2 * 3.141592653589793 * (MOD(UNIX_SECONDS(window_start), 86400)) / 86400) AS day_cos,
  SIN(2 * 3.141592653589793 * (MOD(UNIX_SECONDS(window_start), 604800)) / 604800) AS week_sin,
  COS(2 * 3.141592653589793 * (MOD(UNIX_SECONDS(window_start), 604800)) / 604800) AS week_cos
FROM windows
