#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes xterm.js from the npm registry into this folder, in the versions and with the hashes of
# package-lock.json; no scripts of theirs run. For who raises a version: building needs neither npm nor
# a network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp "$here/package.json" "$here/package-lock.json" "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund) >&2
modules=$work/node_modules/@xterm
for file in xterm/css/xterm.css xterm/LICENSE addon-fit/lib/addon-fit.js xterm/lib/xterm.js; do
	name=${file##*/}
	[ "$name" = LICENSE ] && name=xterm.LICENSE
	# without what points to files that are not here, and without notes to themselves
	sed -e '/^\/\/# sourceMappingURL=/d' -e '/^ *\/\* TO[D]O: .*\*\/$/d' "$modules/$file" >"$here/$name"
done
