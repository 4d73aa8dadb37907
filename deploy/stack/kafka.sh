#!/usr/bin/env bash
# Apache Kafka, one KRaft node: plain text on PORT, its controller on PORT+1, SASL_SSL (PLAIN
# and SCRAM-SHA-512) on PORT+2. Topics are not made by themselves. Tests that stop a broker of
# their own set KAFKA_KEEP=true, which starts it again with its data, and KAFKA_ADVERTISED, the
# host:port at which clients reach it, such as a proxy's.
. "$ROOT/lib.sh"
need mvn java
version=3.9.1
lib=$STATE/kafka-lib-$version
if [ ! -f "$lib/.complete" ]; then
	rm -rf "$lib"
	mvn -q -B -f "$ROOT/kafka/pom.xml" dependency:copy-dependencies -Dkafka.version=$version -DincludeScope=runtime -DoutputDirectory="$lib" >&2
	touch "$lib/.complete"
fi
certificates "$DIR/certs"
if ! running; then
	keep=${KAFKA_KEEP:-false}
	[ "$keep" = true ] && [ -d "$DIR/data" ] || { keep=false && rm -rf "$DIR/data"; }
	rm -f "$DIR/log"
	cat "$DIR"/certs/{node.key,node.crt,ca.crt} >"$DIR/node.pem"
	cat >"$DIR/server.properties" <<-P
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$((PORT + 1))
		listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$((PORT + 1)),SASL_SSL://127.0.0.1:$((PORT + 2))
		advertised.listeners=PLAINTEXT://${KAFKA_ADVERTISED:-127.0.0.1:$PORT},SASL_SSL://localhost:$((PORT + 2))
		controller.listener.names=CONTROLLER
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
		inter.broker.listener.name=PLAINTEXT
		log.dirs=$DIR/data
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=4
		group.initial.rebalance.delay.ms=0
		auto.create.topics.enable=false
		sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
		listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_flowbeam="flowbeam-local";
		listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
		ssl.keystore.type=PEM
		ssl.keystore.location=$DIR/node.pem
		ssl.truststore.type=PEM
		ssl.truststore.location=$DIR/certs/ca.crt
	P
	java=(java -Xms256m -Xmx512m -XX:+UseSerialGC "-Dlog4j.configuration=file:$ROOT/kafka/log4j.properties" -cp "$lib/*")
	[ "$keep" = true ] || "${java[@]}" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$DIR/server.properties" \
		--add-scram 'SCRAM-SHA-512=[name=flowbeam,password=flowbeam-local]' >"$DIR/format.log" 2>&1
	launch "${java[@]}" kafka.Kafka "$DIR/server.properties"
fi
wait_for 90 grep -q "Kafka Server started" "$DIR/log"
printf '%s\n' "FLOWBEAM_KAFKA=127.0.0.1:$PORT" "FLOWBEAM_KAFKA_SECURE=localhost:$((PORT + 2))" "FLOWBEAM_KAFKA_CA=$DIR/certs/ca.crt" \
	FLOWBEAM_KAFKA_USER=flowbeam FLOWBEAM_KAFKA_PASSWORD=flowbeam-local
