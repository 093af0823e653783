/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP API of the daemon: routes over flows and the model. The contract is openapi.yaml. */
#ifndef API_API_H
#define API_API_H

#include "flows/daemon.h"
#include "http/server.h"
#include "plugin/registry.h"

struct browser;

struct api {
	struct daemon *daemon;                 /* borrowed */
	const struct plugin_registry *plugins; /* borrowed */
	struct http_server *server;            /* its own end frees it: see http_server_drain */
	struct browser *browser;               /* owned; NULL: there is no console listener */
	unsigned char secret_key[32];          /* of this store; for hashes that are kept */
};

#define API_VERSION "0.1.0"

/* Makes the server; the listeners of the settings are opened by api_listen. */
void api_init(struct api *api, struct daemon *daemon, const struct plugin_registry *plugins,
	      const unsigned char secret_key[32]);
/* Opens the listeners; the error's field is the listener's path in the settings. */
int api_listen(struct api *api, struct gantry_error *err);
/* After the server has closed. */
void api_fini(struct api *api);
/* Prints "METHOD PATH operationId" of each route, for tests of the contract. */
void api_print_routes(void);

#endif
