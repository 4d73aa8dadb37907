package netflow

import (
	"strconv"
	"strings"
	"sync"
)

// kind is an element's abstract data type (RFC 7012, section 3.1), as far as it decides how
// a value is written as an extension.
type kind uint8

const (
	kindOctets kind = iota // hexadecimal; lists (RFC 6313) too
	kindUnsigned
	kindSigned
	kindFloat
	kindBool
	kindMAC
	kindIPv4
	kindIPv6
	kindString
	kindSeconds      // since 1970
	kindMilliseconds // since 1970
	kindMicroseconds // NTP
	kindNanoseconds  // NTP
)

// kindLetters are the kinds as ianaElements writes them.
const kindLetters = "xuifbm46sSMUN"

type element struct {
	name string // "" = unknown
	kind kind
}

// ianaNames are the elements of IANA's registry by their number.
var ianaNames = sync.OnceValue(func() []element {
	var out []element
	for e := range strings.SplitSeq(strings.ReplaceAll(ianaElements, "\n", ", "), ", ") {
		number, rest, ok := strings.Cut(e, " ")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			panic("netflow: the table of elements has the line " + e)
		}
		for len(out) <= n {
			out = append(out, element{})
		}
		out[n] = element{rest[2:], kind(strings.IndexByte(kindLetters, rest[0]))}
	}
	return out
})

// ianaElements is IANA's registry of information elements: number, letter of the kind,
// name.
//
// Source: https://www.iana.org/assignments/ipfix/ipfix.xhtml
const ianaElements = `
1 u octetDeltaCount, 2 u packetDeltaCount, 3 u deltaFlowCount, 4 u protocolIdentifier, 5 u ipClassOfService
6 u tcpControlBits, 7 u sourceTransportPort, 8 4 sourceIPv4Address, 9 u sourceIPv4PrefixLength, 10 u ingressInterface
11 u destinationTransportPort, 12 4 destinationIPv4Address, 13 u destinationIPv4PrefixLength, 14 u egressInterface
15 4 ipNextHopIPv4Address, 16 u bgpSourceAsNumber, 17 u bgpDestinationAsNumber, 18 4 bgpNextHopIPv4Address
19 u postMCastPacketDeltaCount, 20 u postMCastOctetDeltaCount, 21 u flowEndSysUpTime, 22 u flowStartSysUpTime
23 u postOctetDeltaCount, 24 u postPacketDeltaCount, 25 u minimumIpTotalLength, 26 u maximumIpTotalLength
27 6 sourceIPv6Address, 28 6 destinationIPv6Address, 29 u sourceIPv6PrefixLength, 30 u destinationIPv6PrefixLength
31 u flowLabelIPv6, 32 u icmpTypeCodeIPv4, 33 u igmpType, 34 u samplingInterval, 35 u samplingAlgorithm
36 u flowActiveTimeout, 37 u flowIdleTimeout, 38 u engineType, 39 u engineId, 40 u exportedOctetTotalCount
41 u exportedMessageTotalCount, 42 u exportedFlowRecordTotalCount, 43 4 ipv4RouterSc, 44 4 sourceIPv4Prefix
45 4 destinationIPv4Prefix, 46 u mplsTopLabelType, 47 4 mplsTopLabelIPv4Address, 48 u samplerId, 49 u samplerMode
50 u samplerRandomInterval, 51 u classId, 52 u minimumTTL, 53 u maximumTTL, 54 u fragmentIdentification
55 u postIpClassOfService, 56 m sourceMacAddress, 57 m postDestinationMacAddress, 58 u vlanId, 59 u postVlanId
60 u ipVersion, 61 u flowDirection, 62 6 ipNextHopIPv6Address, 63 6 bgpNextHopIPv6Address, 64 u ipv6ExtensionHeaders
70 x mplsTopLabelStackSection, 71 x mplsLabelStackSection2, 72 x mplsLabelStackSection3, 73 x mplsLabelStackSection4
74 x mplsLabelStackSection5, 75 x mplsLabelStackSection6, 76 x mplsLabelStackSection7, 77 x mplsLabelStackSection8
78 x mplsLabelStackSection9, 79 x mplsLabelStackSection10, 80 m destinationMacAddress, 81 m postSourceMacAddress
82 s interfaceName, 83 s interfaceDescription, 84 s samplerName, 85 u octetTotalCount, 86 u packetTotalCount
87 u flagsAndSamplerId, 88 u fragmentOffset, 89 u forwardingStatus, 90 x mplsVpnRouteDistinguisher
91 u mplsTopLabelPrefixLength, 92 u srcTrafficIndex, 93 u dstTrafficIndex, 94 s applicationDescription
95 x applicationId, 96 s applicationName, 98 u postIpDiffServCodePoint, 99 u multicastReplicationFactor, 100 s className
101 u classificationEngineId, 102 u layer2packetSectionOffset, 103 u layer2packetSectionSize
104 x layer2packetSectionData, 128 u bgpNextAdjacentAsNumber, 129 u bgpPrevAdjacentAsNumber, 130 4 exporterIPv4Address
131 6 exporterIPv6Address, 132 u droppedOctetDeltaCount, 133 u droppedPacketDeltaCount, 134 u droppedOctetTotalCount
135 u droppedPacketTotalCount, 136 u flowEndReason, 137 u commonPropertiesId, 138 u observationPointId
139 u icmpTypeCodeIPv6, 140 6 mplsTopLabelIPv6Address, 141 u lineCardId, 142 u portId, 143 u meteringProcessId
144 u exportingProcessId, 145 u templateId, 146 u wlanChannelId, 147 s wlanSSID, 148 u flowId, 149 u observationDomainId
150 S flowStartSeconds, 151 S flowEndSeconds, 152 M flowStartMilliseconds, 153 M flowEndMilliseconds
154 U flowStartMicroseconds, 155 U flowEndMicroseconds, 156 N flowStartNanoseconds, 157 N flowEndNanoseconds
158 u flowStartDeltaMicroseconds, 159 u flowEndDeltaMicroseconds, 160 M systemInitTimeMilliseconds
161 u flowDurationMilliseconds, 162 u flowDurationMicroseconds, 163 u observedFlowTotalCount
164 u ignoredPacketTotalCount, 165 u ignoredOctetTotalCount, 166 u notSentFlowTotalCount, 167 u notSentPacketTotalCount
168 u notSentOctetTotalCount, 169 6 destinationIPv6Prefix, 170 6 sourceIPv6Prefix, 171 u postOctetTotalCount
172 u postPacketTotalCount, 173 u flowKeyIndicator, 174 u postMCastPacketTotalCount, 175 u postMCastOctetTotalCount
176 u icmpTypeIPv4, 177 u icmpCodeIPv4, 178 u icmpTypeIPv6, 179 u icmpCodeIPv6, 180 u udpSourcePort
181 u udpDestinationPort, 182 u tcpSourcePort, 183 u tcpDestinationPort, 184 u tcpSequenceNumber
185 u tcpAcknowledgementNumber, 186 u tcpWindowSize, 187 u tcpUrgentPointer, 188 u tcpHeaderLength, 189 u ipHeaderLength
190 u totalLengthIPv4, 191 u payloadLengthIPv6, 192 u ipTTL, 193 u nextHeaderIPv6, 194 u mplsPayloadLength
195 u ipDiffServCodePoint, 196 u ipPrecedence, 197 u fragmentFlags, 198 u octetDeltaSumOfSquares
199 u octetTotalSumOfSquares, 200 u mplsTopLabelTTL, 201 u mplsLabelStackLength, 202 u mplsLabelStackDepth
203 u mplsTopLabelExp, 204 u ipPayloadLength, 205 u udpMessageLength, 206 u isMulticast, 207 u ipv4IHL
208 u ipv4Options, 209 u tcpOptions, 210 x paddingOctets, 211 4 collectorIPv4Address, 212 6 collectorIPv6Address
213 u exportInterface, 214 u exportProtocolVersion, 215 u exportTransportProtocol, 216 u collectorTransportPort
217 u exporterTransportPort, 218 u tcpSynTotalCount, 219 u tcpFinTotalCount, 220 u tcpRstTotalCount
221 u tcpPshTotalCount, 222 u tcpAckTotalCount, 223 u tcpUrgTotalCount, 224 u ipTotalLength
225 4 postNATSourceIPv4Address, 226 4 postNATDestinationIPv4Address, 227 u postNAPTSourceTransportPort
228 u postNAPTDestinationTransportPort, 229 u natOriginatingAddressRealm, 230 u natEvent, 231 u initiatorOctets
232 u responderOctets, 233 u firewallEvent, 234 u ingressVRFID, 235 u egressVRFID, 236 s VRFname
237 u postMplsTopLabelExp, 238 u tcpWindowScale, 239 u biflowDirection, 240 u ethernetHeaderLength
241 u ethernetPayloadLength, 242 u ethernetTotalLength, 243 u dot1qVlanId, 244 u dot1qPriority
245 u dot1qCustomerVlanId, 246 u dot1qCustomerPriority, 247 s metroEvcId, 248 u metroEvcType, 249 u pseudoWireId
250 u pseudoWireType, 251 u pseudoWireControlWord, 252 u ingressPhysicalInterface, 253 u egressPhysicalInterface
254 u postDot1qVlanId, 255 u postDot1qCustomerVlanId, 256 u ethernetType, 257 u postIpPrecedence
258 M collectionTimeMilliseconds, 259 u exportSctpStreamId, 260 S maxExportSeconds, 261 S maxFlowEndSeconds
262 x messageMD5Checksum, 263 u messageScope, 264 S minExportSeconds, 265 S minFlowStartSeconds, 266 x opaqueOctets
267 u sessionScope, 268 U maxFlowEndMicroseconds, 269 M maxFlowEndMilliseconds, 270 N maxFlowEndNanoseconds
271 U minFlowStartMicroseconds, 272 M minFlowStartMilliseconds, 273 N minFlowStartNanoseconds
274 x collectorCertificate, 275 x exporterCertificate, 276 b dataRecordsReliability, 277 u observationPointType
278 u newConnectionDeltaCount, 279 u connectionSumDurationSeconds, 280 u connectionTransactionId
281 6 postNATSourceIPv6Address, 282 6 postNATDestinationIPv6Address, 283 u natPoolId, 284 s natPoolName
285 u anonymizationFlags, 286 u anonymizationTechnique, 287 u informationElementIndex, 288 s p2pTechnology
289 s tunnelTechnology, 290 s encryptedTechnology, 291 x basicList, 292 x subTemplateList, 293 x subTemplateMultiList
294 u bgpValidityState, 295 u IPSecSPI, 296 u greKey, 297 u natType, 298 u initiatorPackets, 299 u responderPackets
300 s observationDomainName, 301 u selectionSequenceId, 302 u selectorId, 303 u informationElementId
304 u selectorAlgorithm, 305 u samplingPacketInterval, 306 u samplingPacketSpace, 307 u samplingTimeInterval
308 u samplingTimeSpace, 309 u samplingSize, 310 u samplingPopulation, 311 f samplingProbability
312 u dataLinkFrameSize, 313 x ipHeaderPacketSection, 314 x ipPayloadPacketSection, 315 x dataLinkFrameSection
316 x mplsLabelStackSection, 317 x mplsPayloadPacketSection, 318 u selectorIdTotalPktsObserved
319 u selectorIdTotalPktsSelected, 320 f absoluteError, 321 f relativeError, 322 S observationTimeSeconds
323 M observationTimeMilliseconds, 324 U observationTimeMicroseconds, 325 N observationTimeNanoseconds
326 u digestHashValue, 327 u hashIPPayloadOffset, 328 u hashIPPayloadSize, 329 u hashOutputRangeMin
330 u hashOutputRangeMax, 331 u hashSelectedRangeMin, 332 u hashSelectedRangeMax, 333 b hashDigestOutput
334 u hashInitialiserValue, 335 s selectorName, 336 f upperCILimit, 337 f lowerCILimit, 338 f confidenceLevel
339 u informationElementDataType, 340 s informationElementDescription, 341 s informationElementName
342 u informationElementRangeBegin, 343 u informationElementRangeEnd, 344 u informationElementSemantics
345 u informationElementUnits, 346 u privateEnterpriseNumber, 347 x virtualStationInterfaceId
348 s virtualStationInterfaceName, 349 x virtualStationUUID, 350 s virtualStationName, 351 u layer2SegmentId
352 u layer2OctetDeltaCount, 353 u layer2OctetTotalCount, 354 u ingressUnicastPacketTotalCount
355 u ingressMulticastPacketTotalCount, 356 u ingressBroadcastPacketTotalCount, 357 u egressUnicastPacketTotalCount
358 u egressBroadcastPacketTotalCount, 359 M monitoringIntervalStartMilliSeconds
360 M monitoringIntervalEndMilliSeconds, 361 u portRangeStart, 362 u portRangeEnd, 363 u portRangeStepSize
364 u portRangeNumPorts, 365 m staMacAddress, 366 4 staIPv4Address, 367 m wtpMacAddress, 368 u ingressInterfaceType
369 u egressInterfaceType, 370 u rtpSequenceNumber, 371 s userName, 372 s applicationCategoryName
373 s applicationSubCategoryName, 374 s applicationGroupName, 375 u originalFlowsPresent, 376 u originalFlowsInitiated
377 u originalFlowsCompleted, 378 u distinctCountOfSourceIPAddress, 379 u distinctCountOfDestinationIPAddress
380 u distinctCountOfSourceIPv4Address, 381 u distinctCountOfDestinationIPv4Address
382 u distinctCountOfSourceIPv6Address, 383 u distinctCountOfDestinationIPv6Address, 384 u valueDistributionMethod
385 u rfc3550JitterMilliseconds, 386 u rfc3550JitterMicroseconds, 387 u rfc3550JitterNanoseconds, 388 b dot1qDEI
389 b dot1qCustomerDEI, 390 u flowSelectorAlgorithm, 391 u flowSelectedOctetDeltaCount
392 u flowSelectedPacketDeltaCount, 393 u flowSelectedFlowDeltaCount, 394 u selectorIDTotalFlowsObserved
395 u selectorIDTotalFlowsSelected, 396 u samplingFlowInterval, 397 u samplingFlowSpacing
398 u flowSamplingTimeInterval, 399 u flowSamplingTimeSpacing, 400 u hashFlowDomain, 401 u transportOctetDeltaCount
402 u transportPacketDeltaCount, 403 4 originalExporterIPv4Address, 404 6 originalExporterIPv6Address
405 u originalObservationDomainId, 406 u intermediateProcessId, 407 u ignoredDataRecordTotalCount
408 u dataLinkFrameType, 409 u sectionOffset, 410 u sectionExportedOctets, 411 x dot1qServiceInstanceTag
412 u dot1qServiceInstanceId, 413 u dot1qServiceInstancePriority, 414 m dot1qCustomerSourceMacAddress
415 m dot1qCustomerDestinationMacAddress, 417 u postLayer2OctetDeltaCount, 418 u postMCastLayer2OctetDeltaCount
420 u postLayer2OctetTotalCount, 421 u postMCastLayer2OctetTotalCount, 422 u minimumLayer2TotalLength
423 u maximumLayer2TotalLength, 424 u droppedLayer2OctetDeltaCount, 425 u droppedLayer2OctetTotalCount
426 u ignoredLayer2OctetTotalCount, 427 u notSentLayer2OctetTotalCount, 428 u layer2OctetDeltaSumOfSquares
429 u layer2OctetTotalSumOfSquares, 430 u layer2FrameDeltaCount, 431 u layer2FrameTotalCount
432 4 pseudoWireDestinationIPv4Address, 433 u ignoredLayer2FrameTotalCount, 434 i mibObjectValueInteger
435 x mibObjectValueOctetString, 436 x mibObjectValueOID, 437 x mibObjectValueBits, 438 4 mibObjectValueIPAddress
439 u mibObjectValueCounter, 440 u mibObjectValueGauge, 441 u mibObjectValueTimeTicks, 442 u mibObjectValueUnsigned
443 x mibObjectValueTable, 444 x mibObjectValueRow, 445 x mibObjectIdentifier, 446 u mibSubIdentifier
447 u mibIndexIndicator, 448 u mibCaptureTimeSemantics, 449 x mibContextEngineID, 450 s mibContextName
451 s mibObjectName, 452 s mibObjectDescription, 453 s mibObjectSyntax, 454 s mibModuleName, 455 s mobileIMSI
456 s mobileMSISDN, 457 u httpStatusCode, 458 u sourceTransportPortsLimit, 459 s httpRequestMethod
460 s httpRequestHost, 461 s httpRequestTarget, 462 s httpMessageVersion, 463 u natInstanceID
464 x internalAddressRealm, 465 x externalAddressRealm, 466 u natQuotaExceededEvent, 467 u natThresholdEvent
468 s httpUserAgent, 469 s httpContentType, 470 s httpReasonPhrase, 471 u maxSessionEntries, 472 u maxBIBEntries
473 u maxEntriesPerUser, 474 u maxSubscribers, 475 u maxFragmentsPendingReassembly, 476 u addressPoolHighThreshold
477 u addressPoolLowThreshold, 478 u addressPortMappingHighThreshold, 479 u addressPortMappingLowThreshold
480 u addressPortMappingPerUserHighThreshold, 481 u globalAddressMappingHighThreshold, 482 x vpnIdentifier
483 u bgpCommunity, 484 x bgpSourceCommunityList, 485 x bgpDestinationCommunityList, 486 x bgpExtendedCommunity
487 x bgpSourceExtendedCommunityList, 488 x bgpDestinationExtendedCommunityList, 489 x bgpLargeCommunity
490 x bgpSourceLargeCommunityList, 491 x bgpDestinationLargeCommunityList, 492 u srhFlagsIPv6, 493 u srhTagIPv6
494 6 srhSegmentIPv6, 495 6 srhActiveSegmentIPv6, 496 x srhSegmentIPv6BasicList, 497 x srhSegmentIPv6ListSection
498 u srhSegmentsIPv6Left, 499 x srhIPv6Section, 500 u srhIPv6ActiveSegmentType, 501 u srhSegmentIPv6LocatorLength
502 u srhSegmentIPv6EndpointBehavior, 503 u transportChecksum, 504 x icmpHeaderPacketSection, 505 u gtpuFlags
506 u gtpuMsgType, 507 u gtpuTEid, 508 u gtpuSequenceNum, 509 u gtpuQFI, 510 u gtpuPduType, 511 x bgpSourceAsPathList
512 x bgpDestinationAsPathList, 513 u ipv6ExtensionHeaderType, 514 u ipv6ExtensionHeaderCount
515 x ipv6ExtensionHeadersFull, 516 x ipv6ExtensionHeaderTypeCountList, 517 b ipv6ExtensionHeadersLimit
518 u ipv6ExtensionHeadersChainLength, 519 x ipv6ExtensionHeaderChainLengthList, 520 x tcpOptionsFull
521 u tcpSharedOptionExID16, 522 u tcpSharedOptionExID32, 523 x tcpSharedOptionExID16List
524 x tcpSharedOptionExID32List, 525 x udpSafeOptions, 526 u udpUnsafeOptions, 527 u udpExID, 528 x udpSafeExIDList
529 x udpUnsafeExIDList
`
