/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzzer: cases made from a seed each, one after the other, until the time is over or one is a finding.
 *
 * A program gives fuzz_run a function that makes and judges one case; all that it draws comes from
 * random.h. Cases run in a child, so that the parent tells the seed whatever becomes of it:
 *
 *	fuzz_finding(…)  the case says what is wrong
 *	crash            by a signal, or an exit of a sanitizer's (leaks too, at the end)
 *	hang             no case ended for FUZZ_HANG_S
 *
 * FUZZ_SECONDS (2), FUZZ_SEED (1: the first), FUZZ_CASES (no limit): a finding is seen again with
 * FUZZ_SEED=N FUZZ_CASES=1. FUZZ_PLANT=finding|crash|hang makes the third case one, for the test of all this.
 */
#ifndef T_FUZZ_FUZZ_H
#define T_FUZZ_FUZZ_H

#include "../tap.h"
#include "random.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef GANTRY_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is in no package that we need */
#else
#include <malloc.h>
#endif

#define FUZZ_NOTES 12

/* Shared by parent and child. */
struct fuzz {
	volatile uint64_t seed;  /* of the case under way */
	volatile uint64_t cases; /* that were begun */
	volatile bool done;      /* all of them were well */
	char finding[4096];
	struct {
		char name[40];
		uint64_t count;
	} notes[FUZZ_NOTES];
};

static struct fuzz *fuzz;

/* What is wrong with this case; the first is kept. false, to be returned. */
__attribute__((format(printf, 1, 2), unused)) static bool fuzz_finding(const char *format, ...)
{
	va_list args;

	if (fuzz->finding[0])
		return false;
	va_start(args, format);
	vsnprintf(fuzz->finding, sizeof(fuzz->finding), format, args);
	va_end(args);
	return false;
}

/* Counts what the cases came to: a fuzzer that is always refused at the door finds nothing. */
__attribute__((unused)) static void fuzz_note(const char *name)
{
	for (int i = 0; i < FUZZ_NOTES; i++) {
		if (!fuzz->notes[i].name[0])
			snprintf(fuzz->notes[i].name, sizeof(fuzz->notes[i].name), "%s", name);
		if (strcmp(fuzz->notes[i].name, name) == 0) {
			fuzz->notes[i].count++;
			return;
		}
	}
}

__attribute__((unused)) static uint64_t fuzz_noted(const char *name)
{
	for (int i = 0; i < FUZZ_NOTES; i++)
		if (strcmp(fuzz->notes[i].name, name) == 0)
			return fuzz->notes[i].count;
	return 0;
}

/* Bytes that are allocated now. */
__attribute__((unused)) static int64_t fuzz_heap_bytes(void)
{
#ifdef GANTRY_SANITIZED
	return (int64_t)__sanitizer_get_current_allocated_bytes();
#else
	struct mallinfo2 info = mallinfo2();

	return (int64_t)(info.uordblks + info.hblkhd);
#endif
}

static uint64_t fuzz_option(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && text[0] ? strtoull(text, NULL, 0) : fallback;
}

static double fuzz_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fuzz_plant(void)
{
	const char *what = getenv("FUZZ_PLANT");

	if (!what || fuzz->cases != 3)
		return;
	if (strcmp(what, "finding") == 0)
		fuzz_finding("planted");
	else if (strcmp(what, "crash") == 0)
		abort();
	else if (strcmp(what, "hang") == 0)
		pause();
}

static void fuzz_child(void (*one)(void))
{
	double end_s = fuzz_now_s() + (double)fuzz_option("FUZZ_SECONDS", 2);
	uint64_t seed = fuzz_option("FUZZ_SEED", 1), most = fuzz_option("FUZZ_CASES", UINT64_MAX);

	while (fuzz->cases < most && fuzz_now_s() < end_s) {
		fuzz->seed = seed + fuzz->cases;
		fuzz->cases++;
		random_seed(fuzz->seed);
		one();
		fuzz_plant();
		if (fuzz->finding[0])
			break;
	}
}

/* Waits for the child; a hang is a finding. */
static int fuzz_wait(pid_t child)
{
	uint64_t seen = 0;
	double since_s = fuzz_now_s(), hang_s = (double)fuzz_option("FUZZ_HANG_S", 120);
	struct timespec second = {.tv_sec = 1};
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (fuzz->cases != seen) {
			seen = fuzz->cases;
			since_s = fuzz_now_s();
		} else if (!fuzz->done && fuzz_now_s() - since_s > hang_s) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			fuzz_finding("it hangs: no end after %.0f s", hang_s);
			break;
		}
		sigtimedwait(&set, NULL, &second);
	}
	return status;
}

/*
 * Runs cases; true where none was a finding. start and end run in the child, before and after all
 * cases (NULL: nothing to do).
 */
__attribute__((unused)) static bool fuzz_run(const char *what, void (*start)(void),
					     void (*one)(void), void (*end)(void))
{
	pid_t parent = getpid(), child;
	sigset_t set;
	int status;

	fuzz = mmap(NULL, sizeof(*fuzz), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fuzz == MAP_FAILED)
		bail_out("mmap: %s", strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	child = fork();
	if (child < 0)
		bail_out("fork: %s", strerror(errno));
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		if (start)
			start();
		fuzz_child(one);
		fuzz->done = true;
		if (end)
			end();
		exit(0); /* leaks are looked for here */
	}
	status = fuzz_wait(child);
	if (!fuzz->finding[0] && WIFSIGNALED(status))
		fuzz_finding("it died of signal %d", WTERMSIG(status));
	else if (!fuzz->finding[0] && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		fuzz_finding("it ended with status %d%s", WEXITSTATUS(status),
			     fuzz->done ? ", after the last case: a leak?" : "");
	for (int i = 0; i < FUZZ_NOTES && fuzz->notes[i].name[0]; i++)
		diag("%s: %" PRIu64, fuzz->notes[i].name, fuzz->notes[i].count);
	ok(!fuzz->finding[0] && fuzz->cases > 0, "%" PRIu64 " %s from seed %" PRIu64 ": no finding",
	   fuzz->cases, what, fuzz_option("FUZZ_SEED", 1));
	if (fuzz->finding[0])
		diag("a finding with seed %" PRIu64 ": %s\nagain: FUZZ_SEED=%" PRIu64
		     " FUZZ_CASES=1 %s",
		     fuzz->seed, fuzz->finding, fuzz->seed, program_invocation_name);
	return !fuzz->finding[0];
}

#endif
