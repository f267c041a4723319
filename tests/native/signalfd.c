/* Signals read from descriptors: which, in what order, what is known of them, and how it is waited for them.
 *
 * Built with: gcc -static -O1 -w -pthread, and the C library.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigset_t set_of(int first, int second)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, first);
	if (second)
		sigaddset(&set, second);
	return set;
}

static void show(int fd, int most)
{
	struct signalfd_siginfo info[4];
	int count;

	errno = 0;
	memset(info, 0xee, sizeof info);
	count = read(fd, info, most);
	printf("read: %d %s\n", count, count < 0 ? strerror(errno) : "");
	for (int n = 0; n < count / (int)sizeof *info; n++) {
		unsigned char *rest = (unsigned char *)&info[n] + 80;
		int zero = 1;

		for (int at = 0; at < 48; at++)
			zero &= !rest[at];
		printf("  %d errno %d code %d mine %d uid %d fd %d tid %d band %d overrun %d trap %d status %d int %d ptr %llx addr %llx %d\n",
		       info[n].ssi_signo, info[n].ssi_errno, info[n].ssi_code, info[n].ssi_pid == getpid(), info[n].ssi_uid,
		       info[n].ssi_fd, info[n].ssi_tid, info[n].ssi_band, info[n].ssi_overrun, info[n].ssi_trapno,
		       info[n].ssi_status, info[n].ssi_int, (unsigned long long)info[n].ssi_ptr,
		       (unsigned long long)info[n].ssi_addr, zero);
	}
}

static void *later(void *argument)
{
	usleep(50000);
	kill(getpid(), SIGUSR1);
	return NULL;
}

static void *to_thread(void *argument)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)argument, SIGUSR2);
	return NULL;
}

static void nothing(int number)
{
}

int main(void)
{
	sigset_t usr1 = set_of(SIGUSR1, 0), both = set_of(SIGUSR1, SIGUSR2), all;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 5}, got;
	union sigval value = {.sival_ptr = (void *)0x1234567890abcdef};
	struct sigaction action = {.sa_handler = nothing};
	struct pollfd one = {.events = POLLIN | POLLOUT};
	pthread_t thread, self = pthread_self();
	char link[64] = "", path[64];
	int fd, other, epfd, status;
	timer_t timer;
	struct sigevent sigevent = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 77};
	struct itimerspec soon = {.it_value = {0, 1000000}};

	setvbuf(stdout, NULL, _IONBF, 0);
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigprocmask(SIG_BLOCK, &all, NULL);
	sigaction(SIGALRM, &action, NULL);

	printf("size: %d", signalfd(-1, &usr1, 1) >= 0);
	errno = 0;
	printf(" %ld", syscall(SYS_signalfd4, -1, &usr1, 4, 0));
	printf(" %s", strerror(errno));
	printf(" flags: %d", signalfd(-1, &usr1, 1));
	printf(" %s", strerror(errno));
	printf(" pointer: %ld", syscall(SYS_signalfd4, -1, 16, 8, 0));
	printf(" %s", strerror(errno));
	printf(" closed: %d", signalfd(99, &usr1, 0));
	printf(" %s", strerror(errno));
	printf(" no such: %d", signalfd(1, &usr1, 0));
	printf(" %s\n", strerror(errno));

	fd = signalfd(-1, &usr1, SFD_NONBLOCK | SFD_CLOEXEC);
	sprintf(path, "/proc/self/fd/%d", fd);
	readlink(path, link, sizeof link - 1);
	printf("flags %o %o %s\n", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD), link);
	show(fd, 128);
	show(fd, 127);
	printf("write: %ld", (long)write(fd, link, 8));
	printf(" %s\n", strerror(errno));
	kill(getpid(), SIGUSR2);
	show(fd, 128);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	one.fd = fd;
	printf("poll %d %d\n", poll(&one, 1, 0), one.revents);
	show(fd, 512);
	printf("poll %d %d\n", poll(&one, 1, 0), one.revents);
	printf("changed: %d\n", signalfd(fd, &both, 0) == fd);
	show(fd, 512);

	all = set_of(SIGRTMIN + 1, SIGRTMIN + 2);
	sigaddset(&all, SIGCHLD);
	sigaddset(&all, SIGUSR1);
	sigaddset(&all, SIGUSR2);
	signalfd(fd, &all, 0);
	sigqueue(getpid(), SIGRTMIN + 1, value);
	value.sival_ptr = (void *)1;
	sigqueue(getpid(), SIGRTMIN + 1, value);
	pthread_kill(self, SIGUSR2);
	kill(getpid(), SIGUSR1);
	show(fd, 400);
	show(fd, 512);
	if (!fork())
		_exit(9);
	wait(&status);
	show(fd, 512);
	if (!fork())
		kill(getpid(), SIGKILL);
	wait(&status);
	show(fd, 512);
	timer_create(CLOCK_MONOTONIC, &sigevent, &timer);
	timer_settime(timer, 0, &soon, NULL);
	usleep(20000);
	show(fd, 512);

	/* waiting */
	other = signalfd(-1, &both, 0);
	pthread_create(&thread, NULL, later, NULL);
	show(other, 128);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, to_thread, &self);
	one.fd = other;
	printf("poll %d %d\n", poll(&one, 1, 2000), one.revents);
	show(other, 128);
	pthread_join(thread, NULL);
	epfd = epoll_create1(0);
	printf("epoll_ctl %d\n", epoll_ctl(epfd, EPOLL_CTL_ADD, other, &event));
	printf("epoll_wait %d\n", epoll_wait(epfd, &got, 1, 0));
	pthread_create(&thread, NULL, later, NULL);
	printf("epoll_wait %d", epoll_wait(epfd, &got, 1, 2000));
	printf(" %x %d\n", got.events, (int)got.data.u64);
	pthread_join(thread, NULL);
	printf("edge %d\n", epoll_wait(epfd, &got, 1, 0));
	kill(getpid(), SIGUSR2);
	printf("edge %d\n", epoll_wait(epfd, &got, 1, 0));
	show(other, 512);
	alarm(1);
	show(other, 512); /* interrupted */

	/* a child reads its own */
	kill(getpid(), SIGUSR1);
	if (!fork()) {
		fcntl(other, F_SETFL, O_NONBLOCK);
		show(other, 512);
		kill(getpid(), SIGUSR2);
		show(other, 512);
		_exit(0);
	}
	wait(&status);
	show(other, 512);
}
