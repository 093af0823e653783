#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs with apt-get what building and the demo need and this machine lacks; with the word check,
# what the tests need too. Says nothing where nothing is missing.
set -eu
packages="gcc make libc6-dev pkg-config libuv1-dev liblua5.4-dev libjson-c-dev libsqlite3-dev uthash-dev libcurl4-openssl-dev
libarchive-dev libssl-dev libwslay-dev zlib1g-dev libmnl-dev node-llhttp docker.io iptables iproute2 busybox-static procps tar curl
ca-certificates"
[ "${1:-}" != check ] || packages="$packages lua5.4 perl python3 python3-yaml python3-msgpack openssl git valgrind mandoc faketime
docker-registry openvswitch-switch rsyslog rsyslog-openssl chromium chromium-driver python3-nova"
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p')
missing=
for package in $packages; do
	echo "$installed" | grep -qxF "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages:$missing; run as root, or: apt-get install$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
# Services are started by hand, never by their packages.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
fi
apt-get update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $missing >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
