package flow

// Records is the field table of [Record]: the one place from which the batch coder, the
// BigQuery, Avro and Parquet schemas, the Elasticsearch mapping, the CSV header and the
// field reference page come.
//
// To add a field: add it to Record and one line here with the next free Num. A field is
// never renumbered, renamed, retyped or made required: a test holds this table to the
// committed schemas.
var Records = Table[Record]{Name: "flows", Columns: recordColumns}

type rec = Record

var recordColumns = []Column[Record]{
	{Num: 1, Name: "record_id", Kind: KindID, Required: true, ECS: "event.id", Doc: "Delivery identity: 128-bit hash of the raw bytes that identify the record. One id is one record in every store.", Ref: func(r *rec) any { return &r.ID }},
	{Num: 2, Name: "revision", Kind: KindInt, Required: true, ECS: "flowbeam.revision", Doc: "Revision of parser and enrichment; in replace mode the higher one wins.", Ref: func(r *rec) any { return &r.Revision }},
	{Num: 3, Name: "event_time", Kind: KindTime, Required: true, ECS: "@timestamp", Doc: "Event time: the flow's end, or what the format has that is nearest.", Ref: func(r *rec) any { return &r.EventTime }},
	{Num: 4, Name: "flow_start", Kind: KindTime, IPFIX: "flowStartNanoseconds", ECS: "event.start", Doc: "First packet.", Ref: func(r *rec) any { return &r.Start }},
	{Num: 5, Name: "flow_end", Kind: KindTime, IPFIX: "flowEndNanoseconds", ECS: "event.end", Doc: "Last packet.", Ref: func(r *rec) any { return &r.End }},
	{Num: 6, Name: "observed_time", Kind: KindTime, IPFIX: "observationTimeNanoseconds", ECS: "event.created", Doc: "When the exporter observed or logged the flow.", Ref: func(r *rec) any { return &r.Observed }},
	{Num: 7, Name: "received_time", Kind: KindTime, IPFIX: "collectionTimeMilliseconds", ECS: "flowbeam.received", Doc: "When the source received it: append, publish or receive time.", Ref: func(r *rec) any { return &r.Received }},
	{Num: 8, Name: "time_quality", Kind: KindString, ECS: "flowbeam.time_quality", Doc: "What is doubtful of the times: no_start, no_end, uptime_wrap.", Ref: func(r *rec) any { return &r.TimeQuality }},
	{Num: 9, Name: "late", Kind: KindBool, Required: true, ECS: "flowbeam.late", Doc: "Beyond allowed lateness when read.", Ref: func(r *rec) any { return &r.Late }},
	{Name: "duration_ns", Kind: KindInt, Unit: "ns", ECS: "event.duration", Doc: "flow_end - flow_start.", Derive: func(r *rec) Value { return intValue(r.Duration()) }},

	{Num: 10, Name: "community_id", Kind: KindString, ECS: "network.community_id", Doc: "Community ID v1: stitches observations of one conversation.", Ref: func(r *rec) any { return &r.CommunityID }},
	{Num: 11, Name: "format", Kind: KindString, Required: true, ECS: "event.module", Doc: "Source format.", Ref: func(r *rec) any { return &r.Format }},
	{Num: 12, Name: "position_source", Kind: KindString, ECS: "log.file.path", Doc: "File, topic or subscription that the record was read from.", Ref: func(r *rec) any { return &r.Position.Source }},
	{Num: 13, Name: "position_partition", Kind: KindInt, ECS: "flowbeam.position.partition", Doc: "Partition of the topic.", Ref: func(r *rec) any { return &r.Position.Partition }},
	{Num: 14, Name: "position_offset", Kind: KindInt, ECS: "log.offset", Doc: "Byte offset in the decompressed file, or offset in the partition.", Ref: func(r *rec) any { return &r.Position.Offset }},
	{Num: 15, Name: "position_index", Kind: KindInt, ECS: "flowbeam.position.index", Doc: "Index in a raw unit that holds several records.", Ref: func(r *rec) any { return &r.Position.Index }},
	{Num: 16, Name: "position_key", Kind: KindString, ECS: "flowbeam.position.key", Doc: "Message id where there is no offset.", Ref: func(r *rec) any { return &r.Position.Key }},

	{Num: 17, Name: "exporter_ip", Kind: KindIP, IPFIX: "exporterIPv4Address, exporterIPv6Address", ECS: "observer.ip", Doc: "Address of the exporter.", Ref: func(r *rec) any { return &r.Exporter.IP }},
	{Num: 18, Name: "exporter_name", Kind: KindString, ECS: "observer.name", Doc: "Name of the exporter or sensor.", Ref: func(r *rec) any { return &r.Exporter.Name }},
	{Num: 19, Name: "observation_domain_id", Kind: KindInt, IPFIX: "observationDomainId", ECS: "netflow.exporter.source_id", Doc: "Observation domain of the exporter.", Ref: func(r *rec) any { return &r.Exporter.ObservationDomain }},
	{Num: 20, Name: "observation_point_id", Kind: KindInt, IPFIX: "observationPointId", ECS: "netflow.observation_point_id", Doc: "Observation point of the exporter.", Ref: func(r *rec) any { return &r.Exporter.ObservationPoint }},
	{Num: 21, Name: "data_center", Kind: KindString, ECS: "observer.geo.name", Doc: "Data center, from the record, the path or topic, a header or an attribute.", Ref: func(r *rec) any { return &r.DataCenter }},
	{Num: 22, Name: "tenant", Kind: KindString, ECS: "organization.id", Doc: "Tenant.", Ref: func(r *rec) any { return &r.Tenant }},
	{Num: 23, Name: "ingress_interface", Kind: KindString, IPFIX: "ingressInterface", ECS: "observer.ingress.interface.id", Doc: "Interface that the packets came in by.", Ref: func(r *rec) any { return &r.IngressInterface }},
	{Num: 24, Name: "egress_interface", Kind: KindString, IPFIX: "egressInterface", ECS: "observer.egress.interface.id", Doc: "Interface that they left by.", Ref: func(r *rec) any { return &r.EgressInterface }},
	{Num: 25, Name: "direction", Kind: KindString, IPFIX: "flowDirection", ECS: "network.direction", Doc: "ingress, egress, internal or external.", Ref: func(r *rec) any { return &r.Direction }},
	{Num: 26, Name: "observation", Kind: KindString, ECS: "flowbeam.observation", Doc: "winner or duplicate, where observations were compared.", Ref: func(r *rec) any { return &r.Observation }},
	{Num: 27, Name: "cloud_provider", Kind: KindString, ECS: "cloud.provider", Doc: "Cloud of the observing interface.", Ref: func(r *rec) any { return &r.Cloud.Provider }},
	{Num: 28, Name: "cloud_account_id", Kind: KindString, ECS: "cloud.account.id", Doc: "Its account, project or subscription.", Ref: func(r *rec) any { return &r.Cloud.Account }},
	{Num: 29, Name: "cloud_region", Kind: KindString, ECS: "cloud.region", Doc: "Its region.", Ref: func(r *rec) any { return &r.Cloud.Region }},
	{Num: 30, Name: "cloud_zone", Kind: KindString, ECS: "cloud.availability_zone", Doc: "Its availability zone.", Ref: func(r *rec) any { return &r.Cloud.Zone }},
	{Num: 31, Name: "cloud_instance_id", Kind: KindString, ECS: "cloud.instance.id", Doc: "Its instance.", Ref: func(r *rec) any { return &r.Cloud.Instance }},
	{Num: 32, Name: "cloud_network", Kind: KindString, ECS: "flowbeam.cloud.network", Doc: "Its VPC or virtual network.", Ref: func(r *rec) any { return &r.Cloud.Network }},
	{Num: 33, Name: "cloud_subnetwork", Kind: KindString, ECS: "flowbeam.cloud.subnetwork", Doc: "Its subnetwork.", Ref: func(r *rec) any { return &r.Cloud.Subnetwork }},

	{Num: 34, Name: "protocol", Kind: KindInt, IPFIX: "protocolIdentifier", ECS: "network.iana_number", Doc: "IANA protocol number.", Ref: func(r *rec) any { return &r.Protocol }},
	{Num: 35, Name: "icmp_type", Kind: KindInt, IPFIX: "icmpTypeIPv4, icmpTypeIPv6", ECS: "flowbeam.icmp.type", Doc: "ICMP type.", Ref: func(r *rec) any { return &r.ICMPType }},
	{Num: 36, Name: "icmp_code", Kind: KindInt, IPFIX: "icmpCodeIPv4, icmpCodeIPv6", ECS: "flowbeam.icmp.code", Doc: "ICMP code.", Ref: func(r *rec) any { return &r.ICMPCode }},
	{Num: 37, Name: "tcp_flags", Kind: KindInt, IPFIX: "tcpControlBits", ECS: "netflow.tcp_control_bits", Doc: "OR of the TCP flags of all packets.", Ref: func(r *rec) any { return &r.TCPFlags }},
	{Num: 38, Name: "ip_tos", Kind: KindInt, IPFIX: "ipClassOfService", ECS: "netflow.ip_class_of_service", Doc: "Type of service or traffic class byte.", Ref: func(r *rec) any { return &r.TypeOfService }},
	{Num: 39, Name: "vlan_id", Kind: KindInt, IPFIX: "vlanId", ECS: "network.vlan.id", Doc: "VLAN.", Ref: func(r *rec) any { return &r.VLAN }},
	{Name: "ip_version", Kind: KindInt, IPFIX: "ipVersion", ECS: "network.type", Doc: "4 or 6, from the addresses.", Derive: func(r *rec) Value {
		if v := r.Source.IP.Version(); v.OK {
			return intValue(v)
		}
		return intValue(r.Destination.IP.Version())
	}},
	{Num: 40, Name: "application", Kind: KindString, IPFIX: "applicationName", ECS: "network.protocol", Doc: "Application protocol as the sensor found it.", Ref: func(r *rec) any { return &r.Application }},
	{Num: 41, Name: "counter_semantics", Kind: KindString, ECS: "flowbeam.counter_semantics", Doc: "delta, total or since_last.", Ref: func(r *rec) any { return &r.CounterSemantics }},
	{Num: 42, Name: "byte_layer", Kind: KindString, ECS: "flowbeam.byte_layer", Doc: "What the byte counters count: l2, ip or payload.", Ref: func(r *rec) any { return &r.ByteLayer }},
	{Num: 43, Name: "sampling_rate", Kind: KindInt, IPFIX: "samplingPacketInterval", ECS: "netflow.sampling_interval", Doc: "One packet in this many was seen.", Ref: func(r *rec) any { return &r.SamplingRate }},
	{Num: 44, Name: "sampling_source", Kind: KindString, ECS: "flowbeam.sampling_source", Doc: "Where the rate is from: record, options, header or config.", Ref: func(r *rec) any { return &r.SamplingSource }},
	{Num: 45, Name: "action", Kind: KindString, IPFIX: "firewallEvent", ECS: "event.outcome", Doc: "accept, reject or drop.", Ref: func(r *rec) any { return &r.Action }},
	{Num: 46, Name: "action_reason", Kind: KindString, ECS: "event.reason", Doc: "Why it was rejected.", Ref: func(r *rec) any { return &r.ActionReason }},
	{Num: 47, Name: "rule", Kind: KindString, ECS: "rule.name", Doc: "The rule that decided.", Ref: func(r *rec) any { return &r.Rule }},
	{Num: 48, Name: "end_reason", Kind: KindString, IPFIX: "flowEndReason", ECS: "flowbeam.end_reason", Doc: "Why the flow ended: idle, active, end, forced or resources.", Ref: func(r *rec) any { return &r.EndReason }},
	{Num: 49, Name: "connection_state", Kind: KindString, ECS: "zeek.connection.state", Doc: "Zeek's conn_state, Suricata's flow.state, Argus's State.", Ref: func(r *rec) any { return &r.ConnectionState }},
	{Num: 50, Name: "history", Kind: KindString, ECS: "zeek.connection.history", Doc: "Zeek's history.", Ref: func(r *rec) any { return &r.History }},
	{Num: 51, Name: "user_id", Kind: KindString, IPFIX: "userName", ECS: "source.user.id", Doc: "The subscriber on the source side.", Ref: func(r *rec) any { return &r.UserID }},
	{Num: 52, Name: "rtt_internal_ns", Kind: KindInt, Unit: "ns", ECS: "flowbeam.rtt.internal", Doc: "Round trip between probe and source side.", Ref: func(r *rec) any { return &r.RTTInternal }},
	{Num: 53, Name: "rtt_external_ns", Kind: KindInt, Unit: "ns", ECS: "flowbeam.rtt.external", Doc: "Round trip between probe and destination side.", Ref: func(r *rec) any { return &r.RTTExternal }},
	{Num: 54, Name: "jitter_ns", Kind: KindInt, Unit: "ns", ECS: "flowbeam.jitter", Doc: "Jitter.", Ref: func(r *rec) any { return &r.Jitter }},
	{Num: 55, Name: "loss_internal", Kind: KindFloat, Unit: "ratio 0..1", ECS: "flowbeam.loss.internal", Doc: "Packet loss on the source side.", Ref: func(r *rec) any { return &r.LossInternal }},
	{Num: 56, Name: "loss_external", Kind: KindFloat, Unit: "ratio 0..1", ECS: "flowbeam.loss.external", Doc: "Packet loss on the destination side.", Ref: func(r *rec) any { return &r.LossExternal }},
	{Num: 57, Name: "source_retransmits", Kind: KindInt, Unit: "packets", ECS: "flowbeam.retransmits.source", Doc: "Packets that the source sent again.", Ref: func(r *rec) any { return &r.RetransmitsSource }},
	{Num: 58, Name: "destination_retransmits", Kind: KindInt, Unit: "packets", ECS: "flowbeam.retransmits.destination", Doc: "Packets that the destination sent again.", Ref: func(r *rec) any { return &r.RetransmitsDest }},
	{Num: 59, Name: "missed_bytes", Kind: KindInt, Unit: "bytes", ECS: "zeek.connection.missed_bytes", Doc: "Bytes missing from the sensor's capture.", Ref: func(r *rec) any { return &r.MissedBytes }},
	{Num: 60, Name: "geo_edition", Kind: KindTime, ECS: "flowbeam.geo_edition", Doc: "Build time of the GeoIP city database that enriched the record.", Ref: func(r *rec) any { return &r.GeoEdition }},
	{Num: 61, Name: "asn_edition", Kind: KindTime, ECS: "flowbeam.asn_edition", Doc: "Build time of the ASN database.", Ref: func(r *rec) any { return &r.ASNEdition }},
	{Num: 62, Name: "extensions", Kind: KindObject, ECS: "flowbeam.extensions", Doc: "Source fields that have no column.", Ref: func(r *rec) any { return &r.Extensions }},
	{Num: 63, Name: "original", Kind: KindString, ECS: "event.original", Doc: "The raw record, where keeping it was asked for.", Ref: func(r *rec) any { return &r.Original }},

	{Num: 64, Name: "source_ip", Kind: KindIP, IPFIX: "sourceIPv4Address, sourceIPv6Address", ECS: "source.ip", Doc: "Address of the side that sent first.", Ref: func(r *rec) any { return &r.Source.IP }},
	{Num: 65, Name: "source_port", Kind: KindInt, IPFIX: "sourceTransportPort", ECS: "source.port", Doc: "Its port.", Ref: func(r *rec) any { return &r.Source.Port }},
	{Num: 66, Name: "source_mac", Kind: KindString, IPFIX: "sourceMacAddress", ECS: "source.mac", Doc: "Its MAC address.", Ref: func(r *rec) any { return &r.Source.MAC }},
	{Num: 67, Name: "source_nat_ip", Kind: KindIP, IPFIX: "postNATSourceIPv4Address, postNATSourceIPv6Address", ECS: "source.nat.ip", Doc: "Its address on the other side of a NAT.", Ref: func(r *rec) any { return &r.Source.NATIP }},
	{Num: 68, Name: "source_nat_port", Kind: KindInt, IPFIX: "postNAPTSourceTransportPort", ECS: "source.nat.port", Doc: "Its port there.", Ref: func(r *rec) any { return &r.Source.NATPort }},
	{Num: 69, Name: "source_prefix_length", Kind: KindInt, IPFIX: "sourceIPv4PrefixLength, sourceIPv6PrefixLength", ECS: "netflow.source_ipv4_prefix_length", Doc: "Length of its route's prefix.", Ref: func(r *rec) any { return &r.Source.PrefixLength }},
	{Num: 70, Name: "source_bytes", Kind: KindInt, Unit: "bytes", IPFIX: "octetDeltaCount", ECS: "source.bytes", Doc: "Bytes that it sent, in byte_layer.", Ref: func(r *rec) any { return &r.Source.Bytes }},
	{Num: 71, Name: "source_packets", Kind: KindInt, Unit: "packets", IPFIX: "packetDeltaCount", ECS: "source.packets", Doc: "Packets that it sent.", Ref: func(r *rec) any { return &r.Source.Packets }},
	{Num: 72, Name: "source_payload_bytes", Kind: KindInt, Unit: "bytes", IPFIX: "transportOctetDeltaCount", ECS: "flowbeam.source.payload_bytes", Doc: "Layer 4 payload that it sent.", Ref: func(r *rec) any { return &r.Source.PayloadBytes }},
	{Name: "source_bytes_scaled", Kind: KindInt, Unit: "bytes", ECS: "flowbeam.source.bytes_scaled", Doc: "source_bytes times sampling_rate: an estimate.", Derive: func(r *rec) Value { return intValue(r.Scaled(r.Source.Bytes)) }},
	{Name: "source_packets_scaled", Kind: KindInt, Unit: "packets", ECS: "flowbeam.source.packets_scaled", Doc: "source_packets times sampling_rate: an estimate.", Derive: func(r *rec) Value { return intValue(r.Scaled(r.Source.Packets)) }},
	{Num: 73, Name: "source_domain", Kind: KindString, ECS: "source.domain", Doc: "Its host name.", Ref: func(r *rec) any { return &r.Source.Domain }},
	{Num: 74, Name: "source_cloud_service", Kind: KindString, ECS: "flowbeam.source.cloud.service", Doc: "Cloud provider's service behind the address.", Ref: func(r *rec) any { return &r.Source.CloudService }},
	{Num: 75, Name: "source_cloud_name", Kind: KindString, ECS: "flowbeam.source.cloud.name", Doc: "Instance name.", Ref: func(r *rec) any { return &r.Source.CloudName }},
	{Num: 76, Name: "source_cloud_network", Kind: KindString, ECS: "flowbeam.source.cloud.network", Doc: "Its VPC or virtual network.", Ref: func(r *rec) any { return &r.Source.CloudNetwork }},
	{Num: 77, Name: "source_asn", Kind: KindInt, IPFIX: "bgpSourceAsNumber", ECS: "source.as.number", Doc: "Its autonomous system.", Ref: func(r *rec) any { return &r.Source.ASN }},
	{Num: 78, Name: "source_as_org", Kind: KindString, ECS: "source.as.organization.name", Doc: "Who runs that.", Ref: func(r *rec) any { return &r.Source.ASOrg }},
	{Num: 79, Name: "source_continent", Kind: KindString, ECS: "source.geo.continent_code", Doc: "Continent, two letters.", Ref: func(r *rec) any { return &r.Source.Geo.Continent }},
	{Num: 80, Name: "source_country", Kind: KindString, ECS: "source.geo.country_iso_code", Doc: "Country, ISO 3166-1 alpha-2.", Ref: func(r *rec) any { return &r.Source.Geo.Country }},
	{Num: 81, Name: "source_region", Kind: KindString, ECS: "source.geo.region_name", Doc: "First-level subdivision.", Ref: func(r *rec) any { return &r.Source.Geo.Region }},
	{Num: 82, Name: "source_city", Kind: KindString, ECS: "source.geo.city_name", Doc: "City.", Ref: func(r *rec) any { return &r.Source.Geo.City }},
	{Num: 83, Name: "source_time_zone", Kind: KindString, ECS: "source.geo.timezone", Doc: "Time zone, IANA name.", Ref: func(r *rec) any { return &r.Source.Geo.TimeZone }},
	{Num: 84, Name: "source_latitude", Kind: KindFloat, Unit: "degrees", ECS: "source.geo.location.lat", Doc: "Latitude, WGS 84.", Ref: func(r *rec) any { return &r.Source.Geo.Latitude }},
	{Num: 85, Name: "source_longitude", Kind: KindFloat, Unit: "degrees", ECS: "source.geo.location.lon", Doc: "Longitude, WGS 84.", Ref: func(r *rec) any { return &r.Source.Geo.Longitude }},
	{Num: 86, Name: "source_geo_status", Kind: KindString, ECS: "flowbeam.source.geo_status", Doc: "found, private, reserved or unknown.", Ref: func(r *rec) any { return &r.Source.GeoStatus }},
	{Num: 87, Name: "source_network", Kind: KindString, ECS: "flowbeam.source.network", Doc: "Network, from the prefix tables.", Ref: func(r *rec) any { return &r.Source.Network }},
	{Num: 88, Name: "source_customer", Kind: KindString, ECS: "flowbeam.source.customer", Doc: "Customer, from the prefix tables.", Ref: func(r *rec) any { return &r.Source.Customer }},
	{Num: 89, Name: "source_site", Kind: KindString, ECS: "flowbeam.source.site", Doc: "Data center or site, from the prefix tables.", Ref: func(r *rec) any { return &r.Source.Site }},
	{Num: 90, Name: "source_labels", Kind: KindObject, ECS: "flowbeam.source.labels", Doc: "Other columns of the prefix tables.", Ref: func(r *rec) any { return &r.Source.Labels }},

	{Num: 91, Name: "destination_ip", Kind: KindIP, IPFIX: "destinationIPv4Address, destinationIPv6Address", ECS: "destination.ip", Doc: "Address of the other side.", Ref: func(r *rec) any { return &r.Destination.IP }},
	{Num: 92, Name: "destination_port", Kind: KindInt, IPFIX: "destinationTransportPort", ECS: "destination.port", Doc: "Its port.", Ref: func(r *rec) any { return &r.Destination.Port }},
	{Num: 93, Name: "destination_mac", Kind: KindString, IPFIX: "destinationMacAddress", ECS: "destination.mac", Doc: "Its MAC address.", Ref: func(r *rec) any { return &r.Destination.MAC }},
	{Num: 94, Name: "destination_nat_ip", Kind: KindIP, IPFIX: "postNATDestinationIPv4Address, postNATDestinationIPv6Address", ECS: "destination.nat.ip", Doc: "Its address on the other side of a NAT.", Ref: func(r *rec) any { return &r.Destination.NATIP }},
	{Num: 95, Name: "destination_nat_port", Kind: KindInt, IPFIX: "postNAPTDestinationTransportPort", ECS: "destination.nat.port", Doc: "Its port there.", Ref: func(r *rec) any { return &r.Destination.NATPort }},
	{Num: 96, Name: "destination_prefix_length", Kind: KindInt, IPFIX: "destinationIPv4PrefixLength, destinationIPv6PrefixLength", ECS: "netflow.destination_ipv4_prefix_length", Doc: "Length of its route's prefix.", Ref: func(r *rec) any { return &r.Destination.PrefixLength }},
	{Num: 97, Name: "destination_bytes", Kind: KindInt, Unit: "bytes", IPFIX: "reverseOctetDeltaCount", ECS: "destination.bytes", Doc: "Bytes that it sent, in byte_layer.", Ref: func(r *rec) any { return &r.Destination.Bytes }},
	{Num: 98, Name: "destination_packets", Kind: KindInt, Unit: "packets", IPFIX: "reversePacketDeltaCount", ECS: "destination.packets", Doc: "Packets that it sent.", Ref: func(r *rec) any { return &r.Destination.Packets }},
	{Num: 99, Name: "destination_payload_bytes", Kind: KindInt, Unit: "bytes", IPFIX: "reverseTransportOctetDeltaCount", ECS: "flowbeam.destination.payload_bytes", Doc: "Layer 4 payload that it sent.", Ref: func(r *rec) any { return &r.Destination.PayloadBytes }},
	{Name: "destination_bytes_scaled", Kind: KindInt, Unit: "bytes", ECS: "flowbeam.destination.bytes_scaled", Doc: "destination_bytes times sampling_rate: an estimate.", Derive: func(r *rec) Value { return intValue(r.Scaled(r.Destination.Bytes)) }},
	{Name: "destination_packets_scaled", Kind: KindInt, Unit: "packets", ECS: "flowbeam.destination.packets_scaled", Doc: "destination_packets times sampling_rate: an estimate.", Derive: func(r *rec) Value { return intValue(r.Scaled(r.Destination.Packets)) }},
	{Num: 100, Name: "destination_domain", Kind: KindString, ECS: "destination.domain", Doc: "Its host name.", Ref: func(r *rec) any { return &r.Destination.Domain }},
	{Num: 101, Name: "destination_cloud_service", Kind: KindString, ECS: "flowbeam.destination.cloud.service", Doc: "Cloud provider's service behind the address.", Ref: func(r *rec) any { return &r.Destination.CloudService }},
	{Num: 102, Name: "destination_cloud_name", Kind: KindString, ECS: "flowbeam.destination.cloud.name", Doc: "Instance name.", Ref: func(r *rec) any { return &r.Destination.CloudName }},
	{Num: 103, Name: "destination_cloud_network", Kind: KindString, ECS: "flowbeam.destination.cloud.network", Doc: "Its VPC or virtual network.", Ref: func(r *rec) any { return &r.Destination.CloudNetwork }},
	{Num: 104, Name: "destination_asn", Kind: KindInt, IPFIX: "bgpDestinationAsNumber", ECS: "destination.as.number", Doc: "Its autonomous system.", Ref: func(r *rec) any { return &r.Destination.ASN }},
	{Num: 105, Name: "destination_as_org", Kind: KindString, ECS: "destination.as.organization.name", Doc: "Who runs that.", Ref: func(r *rec) any { return &r.Destination.ASOrg }},
	{Num: 106, Name: "destination_continent", Kind: KindString, ECS: "destination.geo.continent_code", Doc: "Continent, two letters.", Ref: func(r *rec) any { return &r.Destination.Geo.Continent }},
	{Num: 107, Name: "destination_country", Kind: KindString, ECS: "destination.geo.country_iso_code", Doc: "Country, ISO 3166-1 alpha-2.", Ref: func(r *rec) any { return &r.Destination.Geo.Country }},
	{Num: 108, Name: "destination_region", Kind: KindString, ECS: "destination.geo.region_name", Doc: "First-level subdivision.", Ref: func(r *rec) any { return &r.Destination.Geo.Region }},
	{Num: 109, Name: "destination_city", Kind: KindString, ECS: "destination.geo.city_name", Doc: "City.", Ref: func(r *rec) any { return &r.Destination.Geo.City }},
	{Num: 110, Name: "destination_time_zone", Kind: KindString, ECS: "destination.geo.timezone", Doc: "Time zone, IANA name.", Ref: func(r *rec) any { return &r.Destination.Geo.TimeZone }},
	{Num: 111, Name: "destination_latitude", Kind: KindFloat, Unit: "degrees", ECS: "destination.geo.location.lat", Doc: "Latitude, WGS 84.", Ref: func(r *rec) any { return &r.Destination.Geo.Latitude }},
	{Num: 112, Name: "destination_longitude", Kind: KindFloat, Unit: "degrees", ECS: "destination.geo.location.lon", Doc: "Longitude, WGS 84.", Ref: func(r *rec) any { return &r.Destination.Geo.Longitude }},
	{Num: 113, Name: "destination_geo_status", Kind: KindString, ECS: "flowbeam.destination.geo_status", Doc: "found, private, reserved or unknown.", Ref: func(r *rec) any { return &r.Destination.GeoStatus }},
	{Num: 114, Name: "destination_network", Kind: KindString, ECS: "flowbeam.destination.network", Doc: "Network, from the prefix tables.", Ref: func(r *rec) any { return &r.Destination.Network }},
	{Num: 115, Name: "destination_customer", Kind: KindString, ECS: "flowbeam.destination.customer", Doc: "Customer, from the prefix tables.", Ref: func(r *rec) any { return &r.Destination.Customer }},
	{Num: 116, Name: "destination_site", Kind: KindString, ECS: "flowbeam.destination.site", Doc: "Data center or site, from the prefix tables.", Ref: func(r *rec) any { return &r.Destination.Site }},
	{Num: 117, Name: "destination_labels", Kind: KindObject, ECS: "flowbeam.destination.labels", Doc: "Other columns of the prefix tables.", Ref: func(r *rec) any { return &r.Destination.Labels }},
}

func intValue(i Int) Value {
	if !i.OK {
		return Value{}
	}
	return IntValue(i.V)
}
