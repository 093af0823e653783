/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine's events mean for our instances. An event that one of our own calls caused (an
 * echo) changes nothing; what somebody did beside us is taken over and told.
 */
#ifndef FLOWS_ENGINE_EVENTS_H
#define FLOWS_ENGINE_EVENTS_H

#include "flows/engine/node_link.h"

void engine_event(struct node_link *link, const struct gantry_event *event);
/* Our call is about to cause an event of this kind. */
void engine_event_expect(struct instance *instance, enum gantry_event_kind kind);
/* The call failed, or found nothing to do: a later event of this kind is somebody else's. */
void engine_event_unexpect(struct instance *instance, enum gantry_event_kind kind);

#endif
