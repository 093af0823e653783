# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What start and stop share. Sourced from the top of the tree; everything the demo makes is in $folder,
# carries the owner's label, or is an image of this name.

image=gantry-demo/busybox
if [ -n "${GANTRY_DEMO:-}" ]; then
	folder=$GANTRY_DEMO
elif [ "$(id -u)" -eq 0 ]; then
	folder=/var/lib/gantry-demo
else
	folder=${XDG_RUNTIME_DIR:-$HOME}/gantry-demo
fi

# The functions of t/lib/dockerd.sh, for the engine at the socket given.
use_engine() {
	. t/lib/dockerd.sh
	DOCKER=$1
	DOCKER_IMAGE=$image:latest
}

# The process id of the demo's gantryd, where that is running.
daemon_pid() {
	[ -s "$folder/gantryd.pid" ] || return 1
	read -r pid <"$folder/gantryd.pid"
	case $({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) in
	*gantryd*"$folder/gantry.lua"*) echo "$pid" ;;
	*) return 1 ;;
	esac
}
