/* Asks whether there is standard input, without ever waiting for it, in the way that its argument names; or waits.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

static int epfd;

static int there(const char *how)
{
	struct pollfd one = {.fd = 0, .events = POLLIN};
	struct timeval none = {0, 0};
	struct epoll_event event;
	fd_set set;

	if (!strcmp(how, "poll"))
		return poll(&one, 1, 0);
	if (!strcmp(how, "epoll"))
		return epoll_wait(epfd, &event, 1, 0);
	FD_ZERO(&set);
	FD_SET(0, &set);
	return select(1, &set, NULL, NULL, &none);
}

static int watch_later(void *argument)
{
	struct epoll_event event = {.events = EPOLLIN};

	usleep(20000);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &event))
		perror("epoll_ctl");
	return 0;
}

static int added(void)
{
	static char stack[65536];
	struct epoll_event event = {0};
	int pid, count;

	epfd = epoll_create1(0);
	printf("type\n");
	fflush(stdout);
	pid = clone(watch_later, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
	count = epoll_wait(epfd, &event, 1, -1);
	printf("%d %x\n", count, event.events & EPOLLIN);
	waitpid(pid, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (!strcmp(argv[1], "added"))
		return added();
	struct epoll_event event = {.events = EPOLLIN};
	long nothing = 0, bytes = 0;
	static char data[65536];
	int count;

	epfd = epoll_create1(0);
	if (!strcmp(argv[1], "epoll") && epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &event))
		perror("epoll_ctl");
	if (!strcmp(argv[1], "read"))
		fcntl(0, F_SETFL, O_NONBLOCK);
	printf("type\n");
	fflush(stdout);
	for (;;) {
		if (strcmp(argv[1], "read") && strcmp(argv[1], "wait") && !there(argv[1])) {
			nothing++;
			continue;
		}
		count = read(0, data, sizeof data);
		if (count < 0 && errno == EAGAIN) {
			nothing++;
			continue;
		}
		if (count <= 0)
			break;
		bytes += count;
		if (memchr(data, '!', count)) {
			printf("heard, after asking for nothing: %d\n", nothing > 0);
			fflush(stdout);
			nothing = 0;
		}
	}
	printf("%ld bytes, asked for nothing: %d\n", bytes, nothing > 0);
}
