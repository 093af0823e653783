# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# The main job, as a person would type it. Sourced by start, which gives say, show, must, image.

say "Where instances can run"
show gantry node ls
must 0

say "A web server with a memory limit; what it does not name, the policies fill in"
show gantry run -d --name demo-web --memory 64m --publish 80 --stop-grace 2s "$image" \
	"sh -c 'echo hello from \$HOSTNAME >/tmp/index.html; exec httpd -f -p 80 -h /tmp'"
must 0
address=$(docker port demo-web 80 | head -1)
tries=0
until curl -fsS --max-time 2 "http://$address/" >/dev/null 2>&1 || [ $tries -eq 50 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
show curl -s "http://$address/"
must 0

say "One in the foreground: its output and its exit status are the command's own"
show gantry run --rm "$image" "sh -c 'echo working in \$(pwd); exit 3'; echo \"exit status \$?\""
show gantry ps
must 0

say "One that a policy refuses, and why"
show gantry run -d --name curious --mount /etc:/host "$image" cat /host/shadow
must 4
decision=$(echo "$output" | sed -n 's/.*gantry policy explain \([0-9]*\).*/\1/p')
show gantry policy explain "$decision"
must 0

say "What the engine itself says about it: limits, labels, environment; and who set what"
show "docker inspect demo-web --format 'memory {{.HostConfig.Memory}}, nano-CPUs {{.HostConfig.NanoCpus}}, pids {{.HostConfig.PidsLimit}}'"
must 0
show "docker inspect demo-web --format '{{range \$name, \$value := .Config.Labels}}{{\$name}}={{\$value}}{{println}}{{end}}' | cut -c 1-100"
must 0
show "docker inspect demo-web --format '{{.Config.Env}}'"
must 0
show gantry policy explain demo-web
must 0

say "What happened"
show "gantry events --after 0 | tail -6"
must 0
