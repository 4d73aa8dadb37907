package collect

import "github.com/prometheus/client_golang/prometheus"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("flowbeam_collect_"+name, help, labels, nil)
}

var (
	datagramsDesc = desc("datagrams_total", "Datagrams by what became of them: received, written, dropped_queue, dropped_sink, refused.", "what")
	bytesDesc     = desc("bytes_total", "Bytes: received (UDP payloads), written (envelopes).", "what")
	kernelDesc    = desc("kernel_drops_total", "Datagrams that the kernel dropped, the receive buffer being full. Absent where the system does not say.", "listen")
	formatsDesc   = desc("formats_total", "Datagrams by format.", "format")
	malformedDesc = desc("malformed_total", "Datagrams that are malformed, by reason; they are passed on as they are.", "reason")
	recordsDesc   = desc("flow_records_total", "Flow records in the datagrams.")
	setsDesc      = desc("data_sets_total", "Data sets that came before their template: parked, recovered, expired.", "what")
	missingDesc   = desc("missing_total", "What is missing by sequence numbers: records (NetFlow v5, IPFIX) or datagrams (NetFlow v9, sFlow).")
	restartsDesc  = desc("exporter_restarts_total", "Restarts of exporters.")
	forgottenDesc = desc("exporters_forgotten_total", "Exporters that were silent for too long, or one too many.")
	exportersDesc = desc("exporters", "Exporters that are known now.")
	waitingDesc   = desc("data_sets_waiting", "Data sets that wait for their template now.")
	queueDesc     = desc("queue_bytes", "Bytes between receivers and sink.")
	queueMaxDesc  = desc("queue_max_bytes", "Bound of the bytes between receivers and sink.")
	bufferDesc    = desc("receive_buffer_bytes", "Receive buffer of a socket as the kernel gave it.", "listen")
)

var descs = []*prometheus.Desc{
	datagramsDesc, bytesDesc, kernelDesc, formatsDesc, malformedDesc, recordsDesc, setsDesc, missingDesc, restartsDesc,
	forgottenDesc, exportersDesc, waitingDesc, queueDesc, queueMaxDesc, bufferDesc,
}

// Describe makes it a prometheus.Collector.
func (*Collector) Describe(d chan<- *prometheus.Desc) {
	for _, x := range descs {
		d <- x
	}
}

// Collect gives the counts of now. Those of formats and exporters are a second old at most.
func (x *Collector) Collect(m chan<- prometheus.Metric) {
	s := x.summary()
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		m <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		m <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	count(datagramsDesc, s.Received, "received")
	count(datagramsDesc, s.Written, "written")
	count(datagramsDesc, s.DroppedQueue, "dropped_queue")
	count(datagramsDesc, s.DroppedSink, "dropped_sink")
	count(datagramsDesc, s.Refused, "refused")
	count(bytesDesc, s.ReceivedBytes, "received")
	count(bytesDesc, s.WrittenBytes, "written")
	for format, n := range s.Counts.Formats {
		count(formatsDesc, n, format)
	}
	for reason, n := range s.Counts.Malformed {
		count(malformedDesc, n, reason)
	}
	c := &s.Counts
	count(recordsDesc, c.NetFlow.Records+c.SFlow.Records)
	count(setsDesc, c.NetFlow.Parked, "parked")
	count(setsDesc, c.NetFlow.Recovered, "recovered")
	count(setsDesc, c.NetFlow.Expired, "expired")
	count(missingDesc, c.NetFlow.Missing+c.SFlow.Missing)
	count(restartsDesc, c.NetFlow.Restarts+c.SFlow.Restarts)
	count(forgottenDesc, c.Forgotten)
	gauge(exportersDesc, c.Exporters)
	gauge(waitingDesc, c.Waiting)
	gauge(queueDesc, x.queue.bytes.Load())
	gauge(queueMaxDesc, x.queue.max)
	drops := map[string]int64{}
	for i, r := range x.receivers {
		drops[r.listen] += r.lost.Load()
		if i%x.config.Sockets == 0 {
			gauge(bufferDesc, int64(r.given), r.listen)
		}
	}
	if s.KernelDropsKnown {
		for listen, n := range drops {
			count(kernelDesc, n, listen)
		}
	}
}
