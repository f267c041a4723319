/* Standard input is a pipe, and keys come from the terminal: as of pagers and choosers.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *text)
{
	write(2, text, strlen(text));
}

int main(void)
{
	struct termios before, raw;
	struct epoll_event event = {.events = EPOLLIN};
	char data[4096], text[256];
	long bytes = 0, count, polls = 0;
	int tty = open("/dev/tty", O_RDWR), epfd = epoll_create1(0);
	struct pollfd both[2] = {{.fd = 0, .events = POLLIN}, {.fd = tty, .events = POLLIN}};

	sprintf(text, "terminals: %d %d %d %d\n", isatty(0), isatty(1), isatty(2), isatty(tty));
	say(text);
	while ((count = read(0, data, sizeof data)) > 0)
		bytes += count;
	sprintf(text, "%ld bytes\n", bytes);
	say(text);
	tcgetattr(tty, &before);
	raw = before;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(tty, TCSADRAIN, &raw);
	say("a key? ");
	count = read(tty, data, sizeof data);
	sprintf(text, "%ld %02x\n", count, data[0]);
	say(text);
	printf("chosen\n");
	fflush(stdout);
	say("another? ");
	both[0].fd = -1;
	while (!poll(both, 2, 0))
		polls++;
	sprintf(text, "%d %d %ld\n", both[1].revents, polls > 1, (long)read(2, data, sizeof data));
	say(text);
	tcsetattr(tty, TCSADRAIN, &before);
	epoll_ctl(epfd, EPOLL_CTL_ADD, tty, &event);
	say("a line? ");
	count = epoll_wait(epfd, &event, 1, -1);
	sprintf(text, "%ld %ld\n", count, (long)read(tty, data, sizeof data));
	say(text);
	sprintf(text, "nothing left: %d\n", epoll_wait(epfd, &event, 1, 0));
	say(text);
	say("a line by polling? ");
	while (!epoll_wait(epfd, &event, 1, 0))
		;
	sprintf(text, "%ld\n", (long)read(2, data, sizeof data));
	say(text);
	return 4;
}
