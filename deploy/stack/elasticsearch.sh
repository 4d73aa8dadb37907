#!/usr/bin/env bash
# Elasticsearch 8.19, the distribution that Elastic publishes for integration tests: the
# server itself with security and few modules. A plugin of ours adds GET / and three parts of
# the analysis module without which API keys cannot be made.
. "$ROOT/lib.sh"
version=8.19.21
need mvn unzip java javac jar curl
home=$STATE/elasticsearch-dist/elasticsearch-$version
if [ ! -f "$home/.complete" ]; then
	rm -rf "$home"
	mkdir -p "$(dirname "$home")" "$DIR/shim"
	mvn -q -B dependency:copy -Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip -DoutputDirectory="$DIR" >&2
	unzip -q "$DIR/elasticsearch-$version.zip" -d "$(dirname "$home")"
	rm "$DIR/elasticsearch-$version.zip"
	plugin=$home/plugins/flowbeam-shim
	mkdir -p "$plugin"
	javac -nowarn -d "$DIR/shim" -cp "$home/lib/*" "$ROOT/elasticsearch/ShimPlugin.java" >&2
	jar cf "$plugin/flowbeam-shim.jar" -C "$DIR/shim" .
	cat >"$plugin/plugin-descriptor.properties" <<-P
		description=what the integration test distribution lacks
		version=1
		name=flowbeam-shim
		classname=flowbeam.ShimPlugin
		java.version=17
		elasticsearch.version=$version
	P
	touch "$home/.complete"
fi

secure=false
[ "$NAME" = elasticsearch-secure ] && secure=true
url=http://127.0.0.1:$PORT
check=(curl -sf "$url/_cluster/health")
if [ $secure = true ]; then
	url=https://localhost:$PORT
	certificates "$DIR/certs"
	check=(curl -sf --cacert "$DIR/certs/ca.crt" -u elastic:flowbeam-local "$url/_cluster/health")
fi

if ! running; then
	rm -rf "$DIR/data" "$DIR/logs" "$DIR/config"
	mkdir -p "$DIR/data" "$DIR/logs"
	cp -r "$home/config" "$DIR/config"
	rm -f "$DIR/config/elasticsearch.keystore"
	mkdir -p "$DIR/config/jvm.options.d"
	printf -- '-Xms512m\n-Xmx512m\n' >"$DIR/config/jvm.options.d/heap.options"
	cat >"$DIR/config/elasticsearch.yml" <<-Y
		cluster.name: flowbeam-local
		node.name: $NAME
		discovery.type: single-node
		http.host: 127.0.0.1
		transport.host: 127.0.0.1
		http.port: $PORT
		transport.port: $((PORT + 5))
		path.data: $DIR/data
		path.logs: $DIR/logs
		cluster.routing.allocation.disk.threshold_enabled: false
		cluster.max_shards_per_node: 20000
		action.destructive_requires_name: false
		xpack.security.enabled: $secure
	Y
	java_home=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
	as=(env "HOME=$DIR" "ES_JAVA_HOME=$java_home" "ES_PATH_CONF=$DIR/config")
	if [ "$(id -u)" = 0 ]; then # it refuses to run as root
		need setpriv useradd
		id flowbeam-es >/dev/null 2>&1 || useradd -r -M -d /nonexistent flowbeam-es
		as=(setpriv "--reuid=flowbeam-es" "--regid=$(id -g flowbeam-es)" --clear-groups "${as[@]}")
	fi
	if [ $secure = true ]; then
		mkdir -p "$DIR/config/certs"
		cp "$DIR"/certs/{ca.crt,node.crt,node.key} "$DIR/config/certs/"
		for layer in http transport; do
			printf '%s\n' "xpack.security.$layer.ssl.enabled: true" "xpack.security.$layer.ssl.key: certs/node.key" \
				"xpack.security.$layer.ssl.certificate: certs/node.crt" \
				"xpack.security.$layer.ssl.certificate_authorities: certs/ca.crt" >>"$DIR/config/elasticsearch.yml"
		done
	fi
	[ "$(id -u)" = 0 ] && chown -R flowbeam-es "$DIR"
	if [ $secure = true ]; then
		"${as[@]}" "$home/bin/elasticsearch-keystore" create >/dev/null
		echo flowbeam-local | "${as[@]}" "$home/bin/elasticsearch-keystore" add -x bootstrap.password
	fi
	launch "${as[@]}" "$home/bin/elasticsearch"
fi
wait_for 180 "${check[@]}"
if [ $secure = true ]; then
	printf '%s\n' "FLOWBEAM_ES_SECURE_URL=$url" "FLOWBEAM_ES_CA=$DIR/certs/ca.crt" FLOWBEAM_ES_USER=elastic FLOWBEAM_ES_PASSWORD=flowbeam-local
else
	echo "FLOWBEAM_ES_URL=$url"
fi
