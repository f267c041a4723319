/* Calls that wait and are interrupted by a signal, with a handler that lets them be made again and with one that does
 * not, for what strace shows of them.  Built with the C library.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int fds[2], sockets[2];

static void handler(int signum)
{
	write(fds[1], "x", 1);	/* so that a read that is made again ends */
	write(sockets[1], "x", 1);
}

static void soon(void)
{
	struct itimerval in = { .it_value.tv_usec = 20000 };

	setitimer(ITIMER_REAL, &in, 0);
}

static void empty(void)
{
	char data[16];

	int waiting;

	while (!ioctl(fds[0], FIONREAD, &waiting) && waiting)
		read(fds[0], data, 16);
	recv(sockets[0], data, 16, MSG_DONTWAIT);
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler };
	struct timespec second = { 1, 0 }, left;
	struct pollfd nothing = { .fd = 0, .events = 0 };
	struct epoll_event event;
	fd_set set;
	sigset_t none, mask;
	char data[16];
	int word = 0, epfd = epoll_create1(0);

	pipe(fds), socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
	sigemptyset(&none);
	for (int i = 0; i < 2; i++) {
		action.sa_flags = i ? SA_RESTART : 0;
		sigaction(SIGALRM, &action, 0);
		soon(), read(fds[0], data, 1), empty();
		if (!i) {
			soon(), recvfrom(sockets[0], data, 1, 0, 0, 0), empty();
			soon(), pause(), empty();
			soon(), sigsuspend(&none), empty();
		}
		soon(), syscall(SYS_nanosleep, &second, &left), empty();
		soon(), syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &second, &left), empty();
		soon(), syscall(SYS_poll, &nothing, 0, 1000), empty();
		soon(), ppoll(&nothing, 0, &second, &none), empty();
		FD_ZERO(&set);
		struct timeval time = { 1, 0 };
		soon(), syscall(SYS_select, 0, &set, 0, 0, &time), empty();
		soon(), pselect(0, &set, 0, 0, &second, &none), empty();
		soon(), epoll_wait(epfd, &event, 1, 1000), empty();
		soon(), syscall(SYS_futex, &word, FUTEX_WAIT, 0, &second), empty();
	}
	sigemptyset(&mask), sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, 0);
	soon(), sigtimedwait(&mask, 0, &second), empty();
	return 0;
}
