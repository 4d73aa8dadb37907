#!/usr/bin/env bash
# Google's Pub/Sub emulator, from the Debian package google-cloud-cli-pubsub-emulator. It is
# in no registry: where the package is absent this says so and exits with 77.
. "$ROOT/lib.sh"
need java
jar=$(dpkg -L google-cloud-cli-pubsub-emulator 2>/dev/null | grep -- '-all.jar$') || {
	echo "pubsub: the package google-cloud-cli-pubsub-emulator is not installed" >&2
	exit 77
}
running || launch java -Xmx512m -jar "$jar" --host=127.0.0.1 --port="$PORT"
wait_for 60 grep -q "Server started" "$DIR/log"
printf '%s\n' "FLOWBEAM_PUBSUB=127.0.0.1:$PORT"
