#!/usr/bin/env bash
# Apache Flink 1.19 as processes: a JobManager with its REST on PORT+2, a TaskManager with two
# slots, and Beam's job server on PORT, of Beam 2.62, the newest there is for it in Maven.
# Each that is dead is started again, with the state of the jobs on disk, so that tests may
# kill one; the start of the JobManager removes that state.
. "$ROOT/lib.sh"
need mvn java
version=2.62.0
lib=$STATE/flink-lib-$version
if [ ! -f "$lib/.complete" ]; then
	rm -rf "$lib"
	mvn -q -B -f "$ROOT/flink/pom.xml" dependency:copy-dependencies -Dbeam.version=$version -DincludeScope=runtime -DoutputDirectory="$lib" >&2
	touch "$lib/.complete"
fi
state=$DIR
java=(java -Dorg.slf4j.simpleLogger.showDateTime=true --add-exports=java.base/sun.net.util=ALL-UNNAMED)
for p in lang net io nio lang.reflect text time util util.concurrent; do java+=(--add-opens="java.base/java.$p=ALL-UNNAMED"); done
java+=(--add-opens=java.base/sun.nio.ch=ALL-UNNAMED -XX:+UseSerialGC -cp "$lib/*")

# server NAME: the process that running, launch and wait_for are about.
server() {
	NAME=flink/$1 DIR=$state/$1
	mkdir -p "$DIR"
}

server jobmanager
if ! running; then
	rm -rf "$state/checkpoints" "$state/savepoints" "$state/tmp" "$state/conf"
	mkdir -p "$state/tmp" "$state/conf"
	sed -e "s#@STATE@#$state#g; s#@REST@#$((PORT + 2))#g; s#@RPC@#$((PORT + 3))#g; s#@PROM@#$((PORT + 4))-$((PORT + 9))#g" \
		"$ROOT/flink/flink-conf.yaml.in" >"$state/conf/flink-conf.yaml"
	launch "${java[@]}" -Xmx400m org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir "$state/conf"
fi
wait_for 60 curl -sf "http://127.0.0.1:$((PORT + 2))/overview"

server taskmanager
if ! running; then
	# A distribution's scripts work these out of one figure.
	heap=${FLINK_HEAP:-1024} memory=-Dtaskmanager.memory
	rm -f "$DIR/log"
	launch "${java[@]}" -Xmx"${heap}m" -XX:MaxDirectMemorySize=300m org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$state/conf" \
		-Dtaskmanager.cpu.cores=2 $memory.framework.heap.size=128m $memory.task.heap.size=$((heap - 128))m $memory.managed.size=64m \
		$memory.framework.off-heap.size=64m $memory.task.off-heap.size=128m $memory.network.min=64m $memory.network.max=64m \
		$memory.jvm-metaspace.size=256m $memory.jvm-overhead.min=100m $memory.jvm-overhead.max=100m
fi
wait_for 60 grep -q "Successful registration at resource manager" "$DIR/log"

server jobserver
if ! running; then
	rm -rf "$DIR/log" "$DIR/artifacts"
	launch "${java[@]}" -Xmx512m org.apache.beam.runners.flink.FlinkJobServerDriver --flink-master "127.0.0.1:$((PORT + 2))" --flink-conf-dir "$state/conf" \
		--job-host 127.0.0.1 --job-port "$PORT" --artifact-port $((PORT + 1)) --expansion-port -1 --artifacts-dir "$DIR/artifacts"
fi
wait_for 60 grep -q "JobService started" "$DIR/log"
printf '%s\n' "FLOWBEAM_FLINK=127.0.0.1:$PORT" "FLOWBEAM_FLINK_REST=http://127.0.0.1:$((PORT + 2))"
