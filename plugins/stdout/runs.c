/* SPDX-License-Identifier: Apache-2.0 */
#include "stdout.h"

void runs_init(struct runs *runs)
{
	*runs = (struct runs){0};
	pthread_mutex_init(&runs->lock, NULL);
}

void runs_fini(struct runs *runs)
{
	pthread_mutex_destroy(&runs->lock);
}

void runs_started(struct runs *runs, const struct gantry_log_boot *boot)
{
	pthread_mutex_lock(&runs->lock);
	boots_add(&runs->boots, boot);
	runs->ended = false;
	pthread_mutex_unlock(&runs->lock);
}

void runs_ended(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	runs->ended = true;
	pthread_mutex_unlock(&runs->lock);
}

bool runs_look(struct runs *runs, struct boots *ret_boots)
{
	bool ended;

	pthread_mutex_lock(&runs->lock);
	*ret_boots = runs->boots;
	ended = runs->ended;
	pthread_mutex_unlock(&runs->lock);
	return ended;
}
