# What the scripts of the local servers share. Each of them is run by scripts/up, which sets
# STATE (where downloads, data and logs are), ROOT (this folder) and PORT; it starts its
# server unless that runs, waits until it answers, and prints NAME=VALUE lines of what a
# client needs to know.
set -euo pipefail

# need COMMAND...: all that are missing are named at once.
need() {
	local c missing=()
	for c in "$@"; do command -v "$c" >/dev/null || missing+=("$c"); done
	[ ${#missing[@]} -eq 0 ] || { echo "$NAME needs ${missing[*]}: install it and run scripts/up again" >&2; exit 1; }
}

# running: whether the server that PID belongs to is alive.
running() { [ -f "$DIR/pid" ] && kill -0 "$(cat "$DIR/pid")" 2>/dev/null; }

# launch COMMAND...: starts the server in the background.
launch() {
	nohup setsid "$@" >"$DIR/log" 2>&1 </dev/null &
	echo $! >"$DIR/pid"
}

# wait_for SECONDS COMMAND...: until the command succeeds, or shows the end of the log.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ] || ! running; then
			echo "$NAME did not start; the end of its log ($DIR/log):" >&2
			tail -n 20 "$DIR/log" >&2
			exit 1
		fi
		sleep 0.25
	done
}

# certificates DIR: a CA of its own and a certificate for localhost.
certificates() {
	need openssl
	mkdir -p "$1"
	[ -f "$1/node.crt" ] && return
	(
		cd "$1"
		openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=flowbeam-local-ca -keyout ca.key -out ca.crt
		openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout node.key -out node.csr
		printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext
		openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out node.crt -extfile ext
	) >/dev/null 2>&1
}

NAME=$(basename "$0" .sh)
DIR=$STATE/$NAME
mkdir -p "$DIR"
