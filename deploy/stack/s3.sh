#!/usr/bin/env bash
# VersityGW: S3 over a folder, which must be on a filesystem with extended attributes
# (ext4, xfs; tmpfs from Linux 6.6 on). The first start builds it, in 2 to 3 minutes.
. "$ROOT/lib.sh"
need go curl
version=v1.8.0
bin=$STATE/bin/$version
[ -x "$bin/versitygw" ] || GOBIN=$bin GOFLAGS= go install github.com/versity/versitygw/cmd/versitygw@$version >&2
mkdir -p "$STATE/s3-objects"
if ! running; then
	ROOT_ACCESS_KEY=flowbeam ROOT_SECRET_KEY=flowbeam-secret launch "$bin/versitygw" \
		--port "127.0.0.1:$PORT" --region us-east-1 posix "$STATE/s3-objects"
fi
wait_for 30 curl -s "http://127.0.0.1:$PORT/"
echo "FLOWBEAM_S3_ENDPOINT=http://127.0.0.1:$PORT"
echo "FLOWBEAM_S3_ACCESS_KEY=flowbeam"
echo "FLOWBEAM_S3_SECRET_KEY=flowbeam-secret"
