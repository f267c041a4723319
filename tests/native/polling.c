/* Asks whether there is standard input, without ever waiting for it, in the way that its argument names; or waits.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
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

int main(int argc, char **argv)
{
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
