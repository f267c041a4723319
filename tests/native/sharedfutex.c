/* Processes that wait for each other on words of memory which they share.
 *
 * Built with: gcc -static -O1 -w -pthread, and the C library.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
	int word, other, count, tid;
	pthread_mutex_t mutex, robust;
	pthread_cond_t condition;
	pthread_barrier_t barrier;
	sem_t semaphore;
	char order[64];
	int used;
};

static struct shared *shared;
static struct timespec second = {1, 0}, tenth = {0, 100000000};

static long futex(int *word, int op, int value, struct timespec *timeout, int *word2, int value3)
{
	errno = 0;
	return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static int child_of(void (*work)(void))
{
	int pid = fork();

	if (!pid) {
		work();
		_exit(0);
	}
	return pid;
}

static void wait_for_word(void)
{
	shared->count++;
	long result = futex(&shared->word, FUTEX_WAIT, 0, &second, NULL, 0);
	_exit(result ? errno : 42);
}

static void wait_privately(void)
{
	shared->count++;
	long result = futex(&shared->word, FUTEX_WAIT_PRIVATE, 0, &tenth, NULL, 0);
	_exit(result ? errno : 42);
}

static void wait_on_bit(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	shared->count++;
	long result = futex(&shared->word, FUTEX_WAIT_BITSET, 0, &until, NULL, 4);
	_exit(result ? errno : 42);
}

static void add_up(void)
{
	for (int n = 0; n < 2000; n++) {
		pthread_mutex_lock(&shared->mutex);
		int before = shared->count;
		if (n % 100 == 0)
			sched_yield();
		shared->count = before + 1;
		pthread_mutex_unlock(&shared->mutex);
	}
}

static void wait_for_condition(void)
{
	pthread_mutex_lock(&shared->mutex);
	while (!shared->other)
		pthread_cond_wait(&shared->condition, &shared->mutex);
	shared->count++;
	pthread_mutex_unlock(&shared->mutex);
}

static void meet(void)
{
	for (int n = 0; n < 3; n++)
		if (pthread_barrier_wait(&shared->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
}

static void answer(void)
{
	for (int n = 0; n < 5; n++) {
		while (sem_wait(&shared->semaphore))
			;
		shared->order[shared->used++] = 'b';
		__atomic_store_n(&shared->other, 1, __ATOMIC_SEQ_CST);
		futex(&shared->other, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static void die_with_lock(void)
{
	pthread_mutex_lock(&shared->robust);
	kill(getpid(), SIGKILL);
}

static void exit_with_lock(void)
{
	pthread_mutex_lock(&shared->robust);
	_exit(0);
}

static int nothing(void *argument)
{
	usleep(20000);
	return 0;
}

static void map_it_again(void)
{
	int fd = open("words", O_RDWR);

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	wait_for_word();
}

static int ended(int pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void reached(int count)
{
	while (__atomic_load_n(&shared->count, __ATOMIC_SEQ_CST) < count)
		sched_yield();
	usleep(200000); /* on a busy machine, too, they wait by then */
}

int main(void)
{
	pthread_mutexattr_t mutex_attributes;
	pthread_condattr_t condition_attributes;
	pthread_barrierattr_t barrier_attributes;
	static char stack[65536];
	int pids[4];

	setvbuf(stdout, NULL, _IONBF, 0);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	pids[0] = child_of(wait_for_word);
	reached(1);
	printf("wake: %ld\n", futex(&shared->word, FUTEX_WAKE, 1, NULL, NULL, 0));
	printf("woken: %d\n", ended(pids[0]));
	printf("nobody: %ld\n", futex(&shared->word, FUTEX_WAKE, 1, NULL, NULL, 0));

	shared->count = 0;
	for (int n = 0; n < 3; n++)
		pids[n] = child_of(wait_for_word);
	reached(3);
	printf("wake two: %ld", futex(&shared->word, FUTEX_WAKE, 2, NULL, NULL, 0));
	printf(" and the rest: %ld\n", futex(&shared->word, FUTEX_WAKE, 9, NULL, NULL, 0));
	printf("%d %d %d\n", ended(pids[0]), ended(pids[1]), ended(pids[2]));

	shared->count = 0;
	pids[0] = child_of(wait_privately);
	reached(1);
	printf("private waiters are not found: %ld", futex(&shared->word, FUTEX_WAKE, 1, NULL, NULL, 0));
	printf(" nor by the other's address: %ld\n", futex(&shared->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	printf("%d\n", ended(pids[0]) == ETIMEDOUT);

	shared->count = 0;
	pids[0] = child_of(wait_on_bit);
	reached(1);
	printf("another bit: %ld", futex(&shared->word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 3));
	printf(" its bit: %ld", futex(&shared->word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 12));
	printf(" %d\n", ended(pids[0]));

	shared->count = 0;
	for (int n = 0; n < 3; n++)
		pids[n] = child_of(wait_for_word);
	reached(3);
	printf("requeue: %ld", futex(&shared->word, FUTEX_CMP_REQUEUE, 1, (void *)5, &shared->other, 0));
	printf(" left: %ld", futex(&shared->word, FUTEX_WAKE, 9, NULL, NULL, 0));
	printf(" moved: %ld\n", futex(&shared->other, FUTEX_WAKE, 9, NULL, NULL, 0));
	printf("%d %d %d\n", ended(pids[0]), ended(pids[1]), ended(pids[2]));

	shared->word = 1;
	pids[0] = child_of(wait_for_word);
	printf("another value: %d\n", ended(pids[0]) == EAGAIN);
	shared->word = 0;

	pthread_mutexattr_init(&mutex_attributes);
	pthread_mutexattr_setpshared(&mutex_attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->mutex, &mutex_attributes);
	shared->count = 0;
	for (int n = 0; n < 4; n++)
		pids[n] = child_of(add_up);
	for (int n = 0; n < 4; n++)
		ended(pids[n]);
	printf("added up: %d\n", shared->count);

	pthread_condattr_init(&condition_attributes);
	pthread_condattr_setpshared(&condition_attributes, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->condition, &condition_attributes);
	shared->count = shared->other = 0;
	for (int n = 0; n < 3; n++)
		pids[n] = child_of(wait_for_condition);
	usleep(50000);
	pthread_mutex_lock(&shared->mutex);
	shared->other = 1;
	pthread_cond_broadcast(&shared->condition);
	pthread_mutex_unlock(&shared->mutex);
	for (int n = 0; n < 3; n++)
		ended(pids[n]);
	printf("all saw the condition: %d\n", shared->count);

	pthread_barrierattr_init(&barrier_attributes);
	pthread_barrierattr_setpshared(&barrier_attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->barrier, &barrier_attributes, 3);
	shared->count = 0;
	for (int n = 0; n < 3; n++)
		pids[n] = child_of(meet);
	for (int n = 0; n < 3; n++)
		ended(pids[n]);
	printf("met: %d\n", shared->count);

	sem_init(&shared->semaphore, 1, 0);
	pids[0] = child_of(answer);
	for (int n = 0; n < 5; n++) {
		shared->other = 0;
		shared->order[shared->used++] = 'a';
		sem_post(&shared->semaphore);
		while (!__atomic_load_n(&shared->other, __ATOMIC_SEQ_CST))
			futex(&shared->other, FUTEX_WAIT, 0, &second, NULL, 0);
	}
	printf("in turns: %s %d\n", shared->order, ended(pids[0]));

	pthread_mutexattr_setrobust(&mutex_attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->robust, &mutex_attributes);
	pids[0] = child_of(die_with_lock);
	printf("died: %d", ended(pids[0]));
	printf(" lock: %s", strerror(pthread_mutex_lock(&shared->robust)));
	pthread_mutex_consistent(&shared->robust);
	pthread_mutex_unlock(&shared->robust);
	pids[0] = child_of(exit_with_lock);
	printf(" exited: %d", ended(pids[0]));
	printf(" lock: %s\n", strerror(pthread_mutex_lock(&shared->robust)));

	/* the word that a task's end clears, in memory that both have */
	pids[0] = clone(nothing, stack + sizeof stack, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL,
			&shared->tid);
	shared->tid = pids[0];
	printf("waited for its end: %ld", futex(&shared->tid, FUTEX_WAIT, pids[0], &second, NULL, 0));
	printf(" kept: %d %d\n", shared->tid == pids[0], ended(pids[0])); /* it was the last with its memory */
	shared->tid = 1;
	pids[0] = clone(nothing, stack + sizeof stack, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL, &shared->tid);
	printf("waited for its end: %ld", futex(&shared->tid, FUTEX_WAIT, 1, &second, NULL, 0));
	printf(" left: %d %d\n", shared->tid, ended(pids[0]));
	munmap(shared, sizeof *shared);

	/* a file that each process maps for itself */
	int fd = open("words", O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 4096);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pids[0] = child_of(map_it_again);
	reached(1);
	unlink("words");
	printf("wake: %ld", futex(&shared->word, FUTEX_WAKE, 1, NULL, NULL, 0));
	printf(" woken: %d\n", ended(pids[0]));
}
