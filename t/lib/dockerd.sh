#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A Docker Engine of a test's own: data, sockets, bridge, cgroup and containerd namespace are apart from
# any other engine's on the machine, and go with it. No registry is asked: the image is made of busybox.
#
#	. t/lib/dockerd.sh
#	trap engine_stop EXIT
#	engine_start || { echo "1..0 # SKIP $engine_why"; exit 0; }
#	… $DOCKER is its socket's path, $DOCKER_IMAGE an image with busybox …
#
# Where GANTRY_TEST_DOCKER names a socket, that engine is used and left alone.
# As a command: dockerd.sh start FOLDER | stop FOLDER | kill FOLDER (as a crash) | down FOLDER (in order) |
# again FOLDER (after kill or down; with what $FOLDER/arguments has, one a line)
# start and again print the socket's path.

DOCKER_IMAGE=gantry-test/busybox:1

# asks METHOD PATH [CURL-ARGUMENT…]
engine_ask() {
	method=$1 path=$2
	shift 2
	curl -sS --fail-with-body --unix-socket "$DOCKER" -X "$method" "$@" "http://localhost$path"
}

engine_make_image() {
	engine_ask GET "/images/$DOCKER_IMAGE/json" >/dev/null 2>&1 && return 0
	busybox=$(command -v busybox) || { engine_why="there is no busybox"; return 1; }
	root=$(mktemp -d)
	mkdir -p "$root/bin" "$root/tmp" "$root/etc" "$root/proc" "$root/dev" "$root/sys" "$root/root"
	cp "$(readlink -f "$busybox")" "$root/bin/busybox"
	for word in $("$root/bin/busybox" --list); do
		[ "$word" = busybox ] || ln -s busybox "$root/bin/$word"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	tar -C "$root" -c . | engine_ask POST \
		"/images/create?fromSrc=-&repo=${DOCKER_IMAGE%:*}&tag=${DOCKER_IMAGE#*:}&changes=ENV%20PATH%3D%2Fbin" \
		-H 'Content-Type: application/x-tar' --data-binary @- >"$root/answer" 2>&1
	code=$?
	[ $code -eq 0 ] || engine_why="no image: $(head -c 300 "$root/answer")"
	rm -rf "$root"
	return $code
}

# Runs dockerd on a folder that engine_prepare made.
engine_run() {
	folder=$1
	set -- --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" -H "unix://$folder/docker.sock" \
		--bridge "$(cat "$folder/bridge")" --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false \
		--cgroup-parent "/$(cat "$folder/bridge")" --containerd-namespace "$(cat "$folder/bridge")" \
		--containerd-plugins-namespace "$(cat "$folder/bridge")p" --config-file "$folder/config.json"
	if [ -s "$folder/arguments" ]; then # more of them, one a line
		while read -r word; do set -- "$@" "$word"; done <"$folder/arguments"
	fi
	dockerd "$@" >>"$folder/log" 2>&1 &
	echo $! >"$folder/dockerd"
	DOCKER=$folder/docker.sock
	tries=0
	until engine_ask GET /_ping >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -gt 300 ] || ! kill -0 "$(cat "$folder/dockerd")" 2>/dev/null; then
			engine_why="dockerd does not start: $(grep -E 'level=(fatal|error)|failed' "$folder/log" | tail -1 | head -c 300)"
			return 1
		fi
		sleep 0.1
	done
}

engine_prepare() {
	folder=$1
	[ "$(id -u)" -eq 0 ] || { engine_why="a private Docker Engine needs root"; return 1; }
	for word in dockerd ip curl; do
		command -v $word >/dev/null || { engine_why="there is no $word"; return 1; }
	done
	mkdir -p "$folder"
	echo '{}' >"$folder/config.json"
	# the first bridge and /24 that nobody has
	number=16
	while ip link show "gantry$number" >/dev/null 2>&1 || ip -4 addr show | grep -q "inet 172\.28\.$number\." ||
		! ip link add "gantry$number" type bridge 2>"$folder/log"; do
		number=$((number + 1))
		[ $number -lt 250 ] || { engine_why="no bridge can be made: $(cat "$folder/log")"; return 1; }
	done
	echo "gantry$number" >"$folder/bridge"
	ip addr add "172.28.$number.1/24" dev "gantry$number" && ip link set "gantry$number" up
}

engine_start_in() {
	engine_prepare "$1" && engine_run "$1" && engine_make_image
}

# Ends a process that is ours and waits for it.
engine_end_pid() {
	kill "-$2" "$1" 2>/dev/null || return 0
	tries=0
	while kill -0 "$1" 2>/dev/null && [ $tries -lt 200 ]; do
		# a child of ours that has ended is gone once it was waited for
		case $(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null) in Z | '') break ;; esac
		tries=$((tries + 1))
		sleep 0.1
	done
	[ $tries -lt 200 ] || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

# Processes whose command line names the folder: containerd, its shims, the proxies of ports.
engine_leftovers() {
	for entry in /proc/[0-9]*; do
		pid=${entry#/proc/}
		[ "$pid" = $$ ] && continue
		case $({ tr '\0' ' ' <"$entry/cmdline"; } 2>/dev/null) in
		*containerd*"$1/exec"* | *containerd-shim*"-namespace $(cat "$1/bridge") "*) echo "$pid" ;;
		esac
	done
}

# Processes of containers that run on where dockerd was killed, by the cgroup that all of them are in.
engine_processes() {
	find /sys/fs/cgroup -path "*/$1/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}

engine_stop_in() {
	folder=$1
	[ -d "$folder" ] || return 0
	DOCKER=$folder/docker.sock
	if [ -s "$folder/dockerd" ] && kill -0 "$(cat "$folder/dockerd")" 2>/dev/null; then
		for id in $(engine_ask GET '/containers/json?all=1' 2>/dev/null | grep -o '"Id":"[0-9a-f]*"' | cut -d'"' -f4); do
			engine_ask DELETE "/containers/$id?force=1&v=1" >/dev/null 2>&1
		done
		engine_end_pid "$(cat "$folder/dockerd")" TERM
	fi
	for pid in $(engine_leftovers "$folder"); do engine_end_pid "$pid" TERM; done
	for pid in $(engine_leftovers "$folder"); do engine_end_pid "$pid" KILL; done
	awk -v f="$folder/" 'index($5, f) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r mount; do
		umount -l "$mount"
	done
	if [ -s "$folder/bridge" ]; then
		bridge=$(cat "$folder/bridge")
		for pid in $(engine_processes "$bridge"); do kill -KILL "$pid" 2>/dev/null; done
		find /sys/fs/cgroup -path "*/$bridge/*" -name freezer.state -exec sh -c 'echo THAWED >"$1"' - {} \; 2>/dev/null
		find /sys/fs/cgroup -path "*/$bridge/*" -name cgroup.freeze -exec sh -c 'echo 0 >"$1"' - {} \; 2>/dev/null
		for pid in $(engine_processes "$bridge"); do engine_end_pid "$pid" KILL; done
		ip link del "$bridge" 2>/dev/null
		find /sys/fs/cgroup -depth -type d -path "*/$bridge*" -exec rmdir {} + 2>/dev/null
	fi
	rm -rf "$folder"
}

# As a crash: its containerd dies with it, the containers and their shims run on. Until somebody has waited
# for the two their numbers are there, and a new dockerd would take them for alive.
engine_crash() {
	engine_end_pid "$(cat "$1/dockerd")" KILL
	[ ! -s "$1/exec/containerd/containerd.pid" ] || engine_end_pid "$(cat "$1/exec/containerd/containerd.pid")" KILL
	rm -f "$1/pid" "$1/exec/containerd/containerd.pid"
}

engine_start() {
	engine_folder=
	if [ -n "${GANTRY_TEST_DOCKER:-}" ]; then
		DOCKER=${GANTRY_TEST_DOCKER#unix://}
		engine_make_image || return 1
	else
		# short: the path of a socket has 107 characters
		engine_folder=$(mktemp -d /tmp/gantry-engine.XXXX)
		engine_start_in "$engine_folder" || return 1
	fi
	export DOCKER DOCKER_IMAGE
}

engine_stop() {
	[ -z "${engine_folder:-}" ] || engine_stop_in "$engine_folder"
	engine_folder=
}

case ${0##*/} in
dockerd.sh)
	case ${1:-} in
	start) engine_start_in "$2" || { echo "$engine_why" >&2; engine_stop_in "$2"; exit 1; }; echo "$DOCKER" ;;
	again) engine_run "$2" || { echo "$engine_why" >&2; exit 1; }; echo "$DOCKER" ;;
	kill) engine_crash "$2" ;;
	down) engine_end_pid "$(cat "$2/dockerd")" TERM ;;
	stop) engine_stop_in "$2" ;;
	*) echo "usage: dockerd.sh start|stop|kill|again FOLDER" >&2; exit 2 ;;
	esac
	;;
esac
