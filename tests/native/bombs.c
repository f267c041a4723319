/* Programs that ask for more than there is, until they are refused: processes, threads, mappings; one by its number. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int refused(const char *what, int n, int error)
{
	printf("%s %s %s\n", what, n > 1000 ? "after more than 1000" : "early", strerrorname_np(error));
	return 9;
}

static void *sleeps(void *arg)
{
	pause();
	return arg;
}

static int processes(void)
{
	for (int n = 0;; n++) {
		pid_t pid = fork();
		if (pid < 0)
			return refused("fork", n, errno);
		if (!pid)
			pause();
	}
}

static int threads(void)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 32768);
	for (int n = 0; n < 1000000; n++) {
		int error = pthread_create(&thread, &small, sleeps, 0);
		if (error)
			return refused("thread", n, error);
	}
	return 0;
}

static int mappings(void)
{
	if (mmap(0, 1UL << 60, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		printf("an exabyte %s\n", strerrorname_np(errno));
	for (int n = 0; n < 1000000; n++)
		if (mmap(0, 4096, n & 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return refused("mapping", n, errno);
	return 0;
}

static int everybody(void)
{
	for (;;)
		fork();
}

int main(int argc, char **argv)
{
	int (*all[])(void) = {processes, threads, mappings, everybody};

	return argc > 1 ? all[atoi(argv[1])]() : 1;
}
