/* SPDX-License-Identifier: Apache-2.0 */
/* Starts http_peer.py and makes certificates for it; for tests with a rig (harness.h). */
#ifndef FAKE_HTTP_PEER_H
#define FAKE_HTTP_PEER_H

#include <fcntl.h>

struct peer {
	pid_t pid;
	int input;
	char url[64];
	struct gantry_http_peer peer;
};

static void start_peer(struct peer *peer, const char *host, const char *mode,
		       const char *certificate, const char *key, const char *ca)
{
	int in[2], out[2], port = 0;
	char line[32] = "";

	if (pipe(in) < 0 || pipe(out) < 0)
		bail_out("no pipe");
	fcntl(in[1], F_SETFD, FD_CLOEXEC);
	peer->pid = fork();
	if (peer->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]);
		close(out[0]);
		close(out[1]);
		execl("/usr/bin/python3", "python3", "t/fake/http_peer.py", mode, certificate, key,
		      ca, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	peer->input = in[1];
	if (read(out[0], line, sizeof(line) - 1) <= 0 || sscanf(line, "PORT %d", &port) != 1)
		bail_out("the peer does not start");
	close(out[0]);
	snprintf(peer->url, sizeof(peer->url), "%s://%s:%d", certificate ? "https" : "http", host,
		 port);
	peer->peer = (struct gantry_http_peer){.base_url = peer->url};
}

static void stop_peer(struct peer *peer)
{
	close(peer->input);
	waitpid(peer->pid, NULL, 0);
}

/* NAME.pem is the authority, NAME-leaf.pem and NAME-leaf.key what it has signed. */
__attribute__((unused)) static void make_authority(const char *folder, const char *name)
{
	struct str command = STR_INIT;

	str_addf(
		&command,
		"cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		"-subj /CN=%s -keyout %s.key -out %s.pem -addext basicConstraints=critical,CA:TRUE >/dev/null 2>&1 && "
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf -keyout %s-leaf.key "
		"-out %s.csr >/dev/null 2>&1 && printf 'subjectAltName=DNS:localhost\\n' >%s.ext && "
		"openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 2 -extfile %s.ext "
		"-out %s-leaf.pem >/dev/null 2>&1",
		folder, name, name, name, name, name, name, name, name, name, name, name);
	if (system(str_text(&command)) != 0)
		bail_out("openssl makes no certificates");
	str_fini(&command);
}

#endif
