# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What start and stop share. Sourced from the top of the tree; everything the demo makes is in $demo,
# carries the owner's label, or is an image of this name.

image=gantry-demo/busybox
if [ -n "${GANTRY_DEMO:-}" ]; then
	demo=$GANTRY_DEMO
elif [ "$(id -u)" -eq 0 ]; then
	demo=/var/lib/gantry-demo
else
	demo=${XDG_RUNTIME_DIR:-$HOME}/gantry-demo
fi

# The functions of t/lib/dockerd.sh, for the engine at the socket given.
use_engine() {
	. t/lib/dockerd.sh
	DOCKER=$1
	DOCKER_IMAGE=$image:latest
}

# The process id of the demo's gantryd, where that is running.
daemon_pid() {
	[ -s "$demo/gantryd.pid" ] || return 1
	read -r pid <"$demo/gantryd.pid"
	case $({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) in
	*gantryd*"$demo/gantry.lua"*) echo "$pid" ;;
	*) return 1 ;;
	esac
}
