/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers at random, the same for the same seed on every machine. */
#ifndef T_FUZZ_RANDOM_H
#define T_FUZZ_RANDOM_H

#include <stdint.h>

static uint64_t random_state;

/* Neighbouring seeds give unlike numbers. */
__attribute__((unused)) static void random_seed(uint64_t seed)
{
	seed += 0x9e3779b97f4a7c15u;
	seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
	seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
	random_state = seed ^ (seed >> 31);
}

/* 0 to count - 1. */
__attribute__((unused)) static unsigned choose(unsigned count)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % count;
}

/* One of an array. */
#define PICK(array) ((array)[choose(sizeof(array) / sizeof((array)[0]))])

#endif
