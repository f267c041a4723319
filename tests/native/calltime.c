/* What an interval timer of 3 ms, and the clock, say to a program that makes system calls without a pause: how many it
 * made until SIGALRM came, how long that took, and how long 10,000 more took, in nanoseconds.  Built with the C library.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t over;

static void alarmed(int signum)
{
	over = signum;
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(void)
{
	struct itimerval in = {{0, 0}, {0, 3000}};
	struct timespec used;
	long calls = 0, start;

	signal(SIGALRM, alarmed);
	start = now();
	setitimer(ITIMER_REAL, &in, 0);
	for (; !over; calls++)
		getppid();
	printf("%ld %ld", calls, now() - start);
	start = now();
	for (int n = 0; n < 10000; n++)
		getppid();
	printf(" %ld", now() - start);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	printf(" %ld\n", used.tv_sec * 1000000000L + used.tv_nsec);
	return 0;
}
