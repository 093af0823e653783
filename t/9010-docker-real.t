#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The docker plugin on a real Docker Engine: the conformance list of runtimes, and every field of a
# spec found again by inspect.
set -u
. t/lib/dockerd.sh
trap engine_stop EXIT
trap 'exit 130' INT TERM
engine_start || { echo "1..0 # SKIP no engine: $engine_why"; exit 0; }

# a subtest each: its lines indented, its result one line
number=0
subtest() {
	number=$((number + 1))
	name=$1
	shift
	"$@" >"$output" 2>&1
	code=$?
	sed 's/^/    /' "$output"
	if [ $code -eq 0 ]; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		grep -A4 -E '^(not ok|Bail out)' "$output" | sed 's/^/# /' >&2
	fi
}

output=$(mktemp)
disk=
for path in /sys/block/*; do
	case ${path##*/} in vd* | sd* | nvme* | xvd*) disk=/dev/${path##*/} ;; esac
done
subtest "conformance" "$BUILD/t/fake/real" conformance "$DOCKER" "$DOCKER_IMAGE"
subtest "every field of a spec" "$BUILD/t/fake/real" fields "$DOCKER" "$DOCKER_IMAGE" ${disk:+"$disk"}
engine_ask DELETE "/volumes/gantry-test-fields" >/dev/null 2>&1
rm -f "$output"
echo "1..$number"
