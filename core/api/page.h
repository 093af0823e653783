/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console listener: what a browser asks for, all of it below /console/.
 *
 *	GET  /console/static/NAME    files of the page
 *	GET  /console/ID             the page; what is behind the "#" of its address is exchanged by
 *	POST /console/ID/session     {"token"}: for a cookie of this instance
 *	GET  /console/ID/session     the instance, for a page that asks again
 *	GET  /console/ID/logs, attach   as in the API; attach is a WebSocket
 *
 * The token is behind a "#", which browsers send to nobody: it is in no log of a proxy and no Referer, and
 * nobody who only looks at the address uses it up. All but files and page want the cookie, and the
 * WebSocket and the exchange the right Origin too.
 */
#ifndef API_PAGE_H
#define API_PAGE_H

#include "api/api.h"

void page_request(struct api *api, struct http_request *request);

#endif
