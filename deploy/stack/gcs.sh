#!/usr/bin/env bash
# fake-gcs-server: objects are files, which the BigQuery emulator reads as gs://.
. "$ROOT/lib.sh"
need go curl
version=v1.56.1
bin=$STATE/bin/$version
[ -x "$bin/fake-gcs-server" ] || GOBIN=$bin GOFLAGS= go install github.com/fsouza/fake-gcs-server@$version >&2
mkdir -p "$STATE/gcs-objects"
if ! running; then
	launch "$bin/fake-gcs-server" -scheme http -host 127.0.0.1 -port "$PORT" -backend filesystem \
		-filesystem-root "$STATE/gcs-objects" -public-host "127.0.0.1:$PORT"
fi
wait_for 30 curl -sf "http://127.0.0.1:$PORT/storage/v1/b?project=flowbeam-local"
# The bucket that the README writes to; the server says 409 where it is there.
curl -s -o /dev/null -X POST -H 'Content-Type: application/json' -d '{"name":"flowbeam-local"}' "http://127.0.0.1:$PORT/storage/v1/b?project=flowbeam-local"
echo "FLOWBEAM_GCS_ENDPOINT=http://127.0.0.1:$PORT"
