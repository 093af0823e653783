#!/bin/sh
# Installs with apt-get what building and testing need and this machine lacks. Quiet when nothing is missing.
set -eu
packages="gcc make libc6-dev pkg-config libuv1-dev liblua5.4-dev lua5.4 libjson-c-dev libsqlite3-dev uthash-dev
libcurl4-openssl-dev libssl-dev libwslay-dev node-llhttp perl python3 python3-yaml openssl curl valgrind git ca-certificates
docker.io iptables busybox-static procps tar"
missing=
for p in $packages; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages:$missing; run as root, or: apt-get install$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Services are started by hand, never by their packages.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
log=$(mktemp)
apt-get update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $missing >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
rm -f "$log"
