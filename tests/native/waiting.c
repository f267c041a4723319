/* Pipes, event counters, epoll, poll, and sockets of AF_UNIX and over the loopback device, one step a line.
 *
 * One thread, so that nothing depends on who runs first; what would wait is made not to.  Ports and inode numbers are the
 * kernel's choice and are not printed.
 */

#define _GNU_SOURCE
#pragma GCC diagnostic ignored "-Wunused-function"
#include "start.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buffer[1 << 20];

void *memcpy(void *to, const void *from, unsigned long size)
{
	char *t = to;
	const char *f = from;

	while (size--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int byte, unsigned long size)
{
	char *t = to;

	while (size--)
		*t++ = byte;
	return to;
}

/* Print "what = result", and return the result. */
static long say(const char *what, long result)
{
	text(what);
	text(" = ");
	number(result);
	flush();
	return result;
}

#define DO(nr, a, b, c, d, e, f) syscall6(__NR_##nr, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), (word)(f))
#define SAY(nr, a, b, c, d, e, f) say(#nr, DO(nr, a, b, c, d, e, f))

/* Print what poll says of a descriptor, asked for everything. */
static void state(const char *what, int fd)
{
	struct pollfd one = {fd, 0x7fff, 0};

	DO(poll, &one, 1, 0, 0, 0, 0);
	text(what);
	text(" is ");
	hex((unsigned short)one.revents);
	flush();
}

/* Print what an epoll instance reports. */
static void events(const char *what, int epfd)
{
	struct epoll_event got[8];
	long i, n = DO(epoll_wait, epfd, got, 8, 0, 0, 0);

	text(what);
	text(" has");
	for (i = 0; i < n; i++) {
		line[used++] = ' ';
		hex(got[i].events);
		line[used++] = ':';
		hex(got[i].data.u64);
	}
	if (n < 0)
		number(n);
	flush();
}

static long watch(int epfd, int op, int fd, unsigned mask)
{
	struct epoll_event event = {mask, {.u64 = fd}};

	return SAY(epoll_ctl, epfd, op, fd, &event, 0, 0);
}

static void pipes(void)
{
	int p[2], q[2], i, lt, et;
	unsigned avail;

	SAY(pipe2, p, O_NONBLOCK, 0, 0, 0, 0);
	state("empty reader", p[0]);
	state("empty writer", p[1]);
	lt = SAY(epoll_create1, 0, 0, 0, 0, 0, 0);
	et = SAY(epoll_create1, 0, 0, 0, 0, 0, 0);
	watch(lt, EPOLL_CTL_ADD, p[0], EPOLLIN);
	watch(et, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET);
	watch(et, EPOLL_CTL_ADD, p[0], EPOLLIN);
	watch(et, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET);
	watch(et, EPOLL_CTL_ADD, et, EPOLLIN);
	watch(et, EPOLL_CTL_ADD, 99, EPOLLIN);
	watch(et, 7, p[0], EPOLLIN);
	events("edge", et);
	for (i = 0; i < 3; i++) {
		SAY(write, p[1], buffer, 100, 0, 0, 0);
		events("level", lt);
		events("level", lt);
		events("edge", et);
		events("edge", et);
	}
	SAY(ioctl, p[0], 0x541B, &avail, 0, 0, 0);
	say("FIONREAD", avail);
	SAY(read, p[0], buffer, 150, 0, 0, 0);
	events("edge", et);
	SAY(read, p[0], buffer, 1000, 0, 0, 0);
	events("level", lt);
	SAY(read, p[0], buffer, 1000, 0, 0, 0);
	SAY(write, p[1], buffer, 100000, 0, 0, 0);
	state("full writer", p[1]);
	SAY(write, p[1], buffer, 1, 0, 0, 0);
	SAY(read, p[0], buffer, 100, 0, 0, 0);
	state("nearly full writer", p[1]);
	SAY(write, p[1], buffer, 50, 0, 0, 0);
	SAY(read, p[0], buffer, 3996, 0, 0, 0);
	events("edge", et);
	SAY(write, p[1], buffer, 5000, 0, 0, 0);
	for (i = 1; i < 300000; i = i * 3 + 7)
		SAY(fcntl, p[1], F_SETPIPE_SZ, i, 0, 0, 0);
	SAY(fcntl, p[0], F_GETPIPE_SZ, 0, 0, 0, 0);
	while (DO(read, p[0], buffer, sizeof(buffer), 0, 0, 0) > 0)
		;
	for (i = 0; i < 40; i++)
		SAY(write, p[1], buffer, 700 + 977 * i, 0, 0, 0);
	for (i = 0; i < 12; i++) {
		SAY(read, p[0], buffer, 1 + 4003 * i, 0, 0, 0);
		SAY(write, p[1], buffer, 50 + 411 * i, 0, 0, 0);
	}
	SAY(close, p[1], 0, 0, 0, 0, 0);
	events("level", lt);
	events("edge", et);
	while (DO(read, p[0], buffer, sizeof(buffer), 0, 0, 0) > 0)
		;
	SAY(read, p[0], buffer, 1, 0, 0, 0);
	events("level", lt);
	state("ended reader", p[0]);
	SAY(close, p[0], 0, 0, 0, 0, 0);
	events("level", lt);
	SAY(pipe2, q, O_DIRECT | O_NONBLOCK, 0, 0, 0, 0);
	SAY(write, q[1], buffer, 5000, 0, 0, 0);
	SAY(write, q[1], buffer, 10, 0, 0, 0);
	for (i = 0; i < 4; i++)
		SAY(read, q[0], buffer, 7 + 1000 * i, 0, 0, 0);
	SAY(close, q[0], 0, 0, 0, 0, 0);
	state("broken writer", q[1]);
	SAY(write, q[1], buffer, 10, 0, 0, 0);
	SAY(pipe2, 8, 0, 0, 0, 0, 0);
	SAY(pipe2, p, 1, 0, 0, 0, 0);
}

static void counters(void)
{
	unsigned long value = 3, most = -2;
	int fd = SAY(eventfd2, 2, O_NONBLOCK, 0, 0, 0, 0), other, ep;

	ep = SAY(epoll_create1, 0, 0, 0, 0, 0, 0);
	watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET);
	events("counter", ep);
	events("counter", ep);
	SAY(write, fd, &value, 8, 0, 0, 0);
	events("counter", ep);
	SAY(read, fd, &value, 7, 0, 0, 0);
	SAY(read, fd, &value, 8, 0, 0, 0);
	say("value", value);
	events("counter", ep);
	SAY(read, fd, &value, 8, 0, 0, 0);
	SAY(write, fd, &most, 8, 0, 0, 0);
	state("nearly full", fd);
	value = 1;
	SAY(write, fd, &value, 8, 0, 0, 0);
	watch(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
	events("once", ep);
	events("once", ep);
	watch(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
	events("once", ep);
	watch(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE);
	watch(ep, EPOLL_CTL_DEL, fd, 0);
	watch(ep, EPOLL_CTL_DEL, fd, 0);
	watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE);
	watch(ep, EPOLL_CTL_MOD, fd, EPOLLIN);
	other = SAY(epoll_create1, 0, 0, 0, 0, 0, 0);
	watch(other, EPOLL_CTL_ADD, ep, EPOLLIN);
	events("outer", other);
	watch(ep, EPOLL_CTL_ADD, other, EPOLLIN);
	fd = SAY(eventfd2, 3, 1, 0, 0, 0, 0);
	SAY(read, fd, &value, 8, 0, 0, 0);
	say("value", value);
	SAY(lseek, fd, 0, 0, 0, 0, 0);
	SAY(pread64, fd, &value, 8, 0, 0, 0);
}

static struct sockaddr_in there;

static int listener(int flags)
{
	socklen_t size = sizeof(there);
	int fd = SAY(socket, AF_INET, SOCK_STREAM | flags, 0, 0, 0, 0);

	there.sin_family = AF_INET, there.sin_port = 0, there.sin_addr.s_addr = htonl(0x7f000001);
	SAY(bind, fd, &there, sizeof(there), 0, 0, 0);
	SAY(listen, fd, 5, 0, 0, 0, 0);
	SAY(getsockname, fd, &there, &size, 0, 0, 0);
	return fd;
}

static void option(int fd, int level, int name)
{
	int value[2] = {-77, -77};
	socklen_t size = sizeof(value);

	SAY(getsockopt, fd, level, name, value, &size, 0);
	say("option", value[0]);
	say("size", size);
}

static void tcp(void)
{
	int l = listener(SOCK_NONBLOCK), c, s, ep, on = 1;
	struct linger linger = {1, 0};
	struct sockaddr_in other = there;
	socklen_t size = sizeof(other);

	state("listener", l);
	SAY(accept4, l, 0, 0, 0, 0, 0);
	c = SAY(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);
	state("new", c);
	SAY(read, c, buffer, 1, 0, 0, 0);
	SAY(sendto, c, buffer, 1, MSG_NOSIGNAL, 0, 0);
	SAY(getpeername, c, &other, &size, 0, 0, 0);
	SAY(shutdown, c, SHUT_WR, 0, 0, 0, 0);
	option(c, SOL_SOCKET, SO_TYPE);
	option(c, SOL_SOCKET, SO_ERROR);
	option(l, SOL_SOCKET, SO_ACCEPTCONN);
	option(c, SOL_SOCKET, SO_LINGER);
	option(c, IPPROTO_TCP, TCP_NODELAY);
	option(c, IPPROTO_TCP, TCP_KEEPIDLE);
	option(c, IPPROTO_IP, 9999);
	option(c, IPPROTO_IPV6, IPV6_V6ONLY);
	SAY(setsockopt, c, IPPROTO_TCP, TCP_NODELAY, &on, 4, 0);
	option(c, IPPROTO_TCP, TCP_NODELAY);
	SAY(setsockopt, c, SOL_SOCKET, SO_REUSEADDR, &on, 3, 0);
	ep = SAY(epoll_create1, 0, 0, 0, 0, 0, 0);
	SAY(connect, c, &there, sizeof(there), 0, 0, 0);
	watch(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	events("connected", ep);
	SAY(connect, c, &there, sizeof(there), 0, 0, 0);
	SAY(connect, c, &there, sizeof(there), 0, 0, 0);
	state("listener", l);
	s = SAY(accept4, l, &other, &size, SOCK_NONBLOCK, 0, 0);
	say("size", size);
	say("family", other.sin_family);
	state("client", c);
	SAY(write, s, buffer, 10, 0, 0, 0);
	events("client", ep);
	SAY(write, s, buffer, 10, 0, 0, 0);
	events("client", ep);
	SAY(recvfrom, c, buffer, 5, MSG_PEEK, 0, 0);
	SAY(recvfrom, c, buffer, 100, MSG_DONTWAIT, 0, 0);
	SAY(recvfrom, c, buffer, 100, MSG_DONTWAIT, 0, 0);
	SAY(shutdown, s, SHUT_WR, 0, 0, 0, 0);
	events("client", ep);
	state("client", c);
	SAY(read, c, buffer, 1, 0, 0, 0);
	SAY(write, c, buffer, 9, 0, 0, 0);
	SAY(sendto, s, buffer, 1, MSG_NOSIGNAL, 0, 0);
	SAY(shutdown, c, SHUT_RDWR, 0, 0, 0, 0);
	state("client", c);
	state("server", s);
	SAY(read, s, buffer, 100, 0, 0, 0);
	SAY(read, s, buffer, 100, 0, 0, 0);
	SAY(close, s, 0, 0, 0, 0, 0);
	SAY(close, c, 0, 0, 0, 0, 0);
	/* Reset. */
	c = SAY(socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
	SAY(connect, c, &there, sizeof(there), 0, 0, 0);
	s = SAY(accept4, l, 0, 0, 0, 0, 0);
	SAY(setsockopt, s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger), 0);
	SAY(close, s, 0, 0, 0, 0, 0);
	state("reset", c);
	SAY(read, c, buffer, 1, 0, 0, 0);
	SAY(read, c, buffer, 1, 0, 0, 0);
	SAY(sendto, c, buffer, 1, MSG_NOSIGNAL, 0, 0);
	option(c, SOL_SOCKET, SO_ERROR);
	SAY(close, c, 0, 0, 0, 0, 0);
	c = SAY(socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
	SAY(connect, c, &there, sizeof(there), 0, 0, 0);
	SAY(close, l, 0, 0, 0, 0, 0);
	state("not accepted", c);
	SAY(read, c, buffer, 1, 0, 0, 0);
	c = SAY(socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
	SAY(connect, c, &there, sizeof(there), 0, 0, 0);
	state("refused", c);
	SAY(connect, c, &there, 3, 0, 0, 0);
	SAY(bind, c, 8, 16, 0, 0, 0);
	SAY(socket, AF_INET, SOCK_SEQPACKET, 0, 0, 0, 0);
	SAY(socket, AF_INET, SOCK_STREAM, IPPROTO_UDP, 0, 0, 0);
	SAY(socket, 77, SOCK_STREAM, 0, 0, 0, 0);
}

static void udp(void)
{
	int a = SAY(socket, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0, 0, 0, 0), b, i;
	socklen_t size = sizeof(there);
	struct sockaddr_in from;

	there.sin_port = 0;
	SAY(bind, a, &there, sizeof(there), 0, 0, 0);
	SAY(getsockname, a, &there, &size, 0, 0, 0);
	b = SAY(socket, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0, 0, 0, 0);
	SAY(sendto, b, buffer, 1, 0, 0, 0);
	for (i = 0; i < 4; i++)
		SAY(sendto, b, buffer, i * 100, 0, &there, sizeof(there));
	state("receiver", a);
	size = sizeof(from);
	SAY(recvfrom, a, buffer, 1000, 0, &from, &size);
	say("size", size);
	say("from", from.sin_addr.s_addr);
	SAY(recvfrom, a, buffer, 50, MSG_PEEK | MSG_TRUNC, 0, 0);
	SAY(recvfrom, a, buffer, 50, 0, 0, 0);
	SAY(read, a, buffer, 1000, 0, 0, 0);
	SAY(read, a, buffer, 1000, 0, 0, 0);
	SAY(read, a, buffer, 1000, 0, 0, 0);
	SAY(sendto, b, buffer, 65508, 0, &there, sizeof(there));
	SAY(connect, b, &there, sizeof(there), 0, 0, 0);
	SAY(sendto, a, buffer, 5, 0, &from, sizeof(from));
	SAY(read, b, buffer, 1000, 0, 0, 0);
	SAY(close, a, 0, 0, 0, 0, 0);
	SAY(write, b, buffer, 5, 0, 0, 0);
	state("unreachable", b);
	SAY(write, b, buffer, 5, 0, 0, 0);
	SAY(write, b, buffer, 5, 0, 0, 0);
	option(b, SOL_SOCKET, SO_ERROR);
	SAY(listen, b, 5, 0, 0, 0, 0);
	SAY(accept4, b, 0, 0, 0, 0, 0);
}

static void named(struct sockaddr_un *addr, const char *name)
{
	int i;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	for (i = 0; name[i]; i++)
		addr->sun_path[i + 1] = name[i];
}

static void unix_sockets(void)
{
	int p[2], l, c, s, i;
	struct sockaddr_un addr;
	socklen_t size;
	unsigned long total;
	static const int sizes[] = {1, 193, 700, 1729, 4000, 10000, 60000, 200000};

	for (i = 0; i < 8; i++) {
		SAY(socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p, 0, 0);
		for (total = 0; (s = DO(write, p[0], buffer, sizes[i], 0, 0, 0)) == sizes[i];)
			total += s;
		if (sizes[i] < 10000) /* how large buffers are cut is the kernel's business */
			say("held", total);
		state("full", p[0]);
		state("filled", p[1]);
		while (DO(read, p[1], buffer, sizeof(buffer), 0, 0, 0) > 0)
			;
		state("emptied", p[0]);
		DO(close, p[0], 0, 0, 0, 0, 0);
		state("left", p[1]);
		SAY(sendto, p[1], buffer, 1, MSG_NOSIGNAL, 0, 0);
		SAY(read, p[1], buffer, 1, 0, 0, 0);
		DO(close, p[1], 0, 0, 0, 0, 0);
	}
	SAY(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, p, 0, 0);
	SAY(write, p[0], buffer, 10, 0, 0, 0);
	SAY(write, p[0], buffer, 20, 0, 0, 0);
	SAY(recvfrom, p[1], buffer, 5, MSG_TRUNC, 0, 0);
	SAY(read, p[1], buffer, 100, 0, 0, 0);
	SAY(read, p[1], buffer, 100, 0, 0, 0);
	SAY(write, p[1], buffer, 5, 0, 0, 0);
	SAY(close, p[0], 0, 0, 0, 0, 0);
	state("sequenced", p[1]);
	SAY(read, p[1], buffer, 100, 0, 0, 0);
	SAY(socketpair, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p, 0, 0);
	state("datagrams", p[0]);
	SAY(write, p[0], buffer, 10, 0, 0, 0);
	SAY(write, p[0], buffer, 0, 0, 0, 0);
	SAY(write, p[0], buffer, 300000, 0, 0, 0);
	SAY(read, p[1], buffer, 5, 0, 0, 0);
	SAY(read, p[1], buffer, 5, 0, 0, 0);
	SAY(read, p[1], buffer, 5, 0, 0, 0);
	SAY(close, p[1], 0, 0, 0, 0, 0);
	state("datagrams", p[0]);
	SAY(write, p[0], buffer, 10, 0, 0, 0);
	/* By name. */
	named(&addr, "rt0 waiting.c");
	l = SAY(socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);
	SAY(listen, l, 1, 0, 0, 0, 0);
	SAY(bind, l, &addr, 16, 0, 0, 0);
	SAY(bind, l, &addr, 17, 0, 0, 0);
	c = SAY(socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);
	state("new", c);
	SAY(read, c, buffer, 1, 0, 0, 0);
	SAY(sendto, c, buffer, 1, MSG_NOSIGNAL, 0, 0);
	SAY(bind, c, &addr, 16, 0, 0, 0);
	SAY(connect, c, &addr, 16, 0, 0, 0);
	SAY(listen, l, 1, 0, 0, 0, 0);
	state("listener", l);
	SAY(connect, c, &addr, 17, 0, 0, 0);
	SAY(connect, c, &addr, 16, 0, 0, 0);
	SAY(connect, c, &addr, 16, 0, 0, 0);
	state("listener", l);
	SAY(write, c, buffer, 10, 0, 0, 0);
	size = sizeof(addr);
	s = SAY(accept4, l, &addr, &size, 0, 0, 0);
	say("size", size);
	size = sizeof(addr);
	SAY(getsockname, s, &addr, &size, 0, 0, 0);
	say("size", size);
	size = 4;
	SAY(getpeername, c, &addr, &size, 0, 0, 0);
	say("size", size);
	SAY(shutdown, c, SHUT_WR, 0, 0, 0, 0);
	state("server", s);
	SAY(read, s, buffer, 100, 0, 0, 0);
	SAY(read, s, buffer, 100, 0, 0, 0);
	SAY(write, s, buffer, 7, 0, 0, 0);
	SAY(close, c, 0, 0, 0, 0, 0);
	state("server", s);
	SAY(read, s, buffer, 100, 0, 0, 0);
	SAY(read, s, buffer, 100, 0, 0, 0);
	option(s, SOL_SOCKET, SO_TYPE);
	option(s, SOL_SOCKET, SO_DOMAIN);
	option(s, IPPROTO_TCP, TCP_NODELAY);
	for (i = 0; i < 4; i++) {
		c = SAY(socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);
		named(&addr, "rt0 waiting.c");
		SAY(connect, c, &addr, 16, 0, 0, 0);
	}
	SAY(close, l, 0, 0, 0, 0, 0);
	state("refused", c - 2);
	SAY(socket, AF_UNIX, SOCK_STREAM, 5, 0, 0, 0);
	SAY(socket, AF_UNIX, 9, 0, 0, 0, 0);
	SAY(accept4, 1, 0, 0, 0, 0, 0);
	SAY(sendto, 99, buffer, 1, 0, 0, 0);
}

static void run(void)
{
	word ignored[4] = {1, 0, 0, 0};

	DO(rt_sigaction, 13, ignored, 0, 8, 0, 0); /* SIGPIPE */
	pipes();
	counters();
	tcp();
	udp();
	unix_sockets();
}
