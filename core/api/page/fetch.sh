#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts what the console's page takes from the npm registry into a folder: the versions and hashes of
# package-lock.json, no scripts of theirs run. Where that cannot be done it says so and leaves nothing.
set -eu
to=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
left_out() {
	echo "console page: $1; gantryd is built without it, and refuses a console listener. make tries again." >&2
	exit 0
}
command -v npm >/dev/null || left_out "npm is not installed"
cp "$here/package.json" "$here/package-lock.json" "$work"
if ! (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1) >"$work/log" 2>&1; then
	grep -m3 -i 'err' "$work/log" >&2 || cat "$work/log" >&2
	left_out "xterm.js could not be had from the npm registry"
fi
mkdir -p "$to"
modules=$work/node_modules/@xterm
for file in xterm/css/xterm.css xterm/LICENSE addon-fit/lib/addon-fit.js xterm/lib/xterm.js; do
	sed '/^\/\/# sourceMappingURL=/d' "$modules/$file" >"$to/.new"
	name=${file##*/}
	[ "$name" = LICENSE ] && name=xterm.LICENSE
	mv "$to/.new" "$to/$name"
done
