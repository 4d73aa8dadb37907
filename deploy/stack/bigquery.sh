#!/usr/bin/env bash
# bqemulator: BigQuery's REST on PORT and its gRPC on PORT+1. It reads gs:// from the folder
# of the fake GCS. Its engine wants to download extensions when it starts; they come as
# packages here.
. "$ROOT/lib.sh"
need python3 curl
venv=$STATE/bigquery-venv
if [ ! -f "$venv/.complete" ]; then
	rm -rf "$venv"
	mkdir -p "$DIR/home"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check -r "$ROOT/bigquery/requirements.txt" >&2
	HOME=$DIR/home "$venv/bin/python" -c 'from duckdb_extensions import import_extension
for name in ("spatial", "avro", "icu", "json"): import_extension(name)' >&2
	touch "$venv/.complete"
fi
"$venv/bin/python" "$ROOT/bigquery/patch.py" >&2
mkdir -p "$STATE/gcs-objects"
if ! running; then
	HOME=$DIR/home BQEMU_GCS_LOCAL_ROOT=$STATE/gcs-objects launch "$venv/bin/bqemulator" start \
		--rest-port "$PORT" --grpc-port $((PORT + 1)) --project flowbeam-local --log-level warning --log-format console
fi
wait_for 90 curl -sf "http://127.0.0.1:$PORT/bigquery/v2/projects/flowbeam-local/datasets"
printf '%s\n' "FLOWBEAM_BQ_REST=http://127.0.0.1:$PORT/bigquery/v2/" "FLOWBEAM_BQ_GRPC=127.0.0.1:$((PORT + 1))" FLOWBEAM_BQ_PROJECT=flowbeam-local
