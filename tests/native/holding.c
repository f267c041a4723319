/* Calls that wait while another thread closes their descriptor and opens something else under its number.
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
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ, WRITE, READV, RECV, ACCEPT, EPOLL, EVENT, FLOCK, CHILD };

struct job {
	int how, fd, result, error;
	char data[64];
	pthread_t thread;
};

static void nap(void)
{
	usleep(200000); /* on a busy machine, too, the other thread waits by then */
}

static void *work(void *argument)
{
	struct job *job = argument;
	static char much[200000];
	struct epoll_event event = {0};
	struct sockaddr_un address;
	socklen_t length = sizeof address;
	siginfo_t info = {0};

	errno = 0;
	switch (job->how) {
	case READ:
	case EVENT:
		job->result = read(job->fd, job->data, 16);
		break;
	case WRITE:
		job->result = write(job->fd, much, sizeof much);
		break;
	case RECV:
		job->result = recv(job->fd, job->data, 16, 0);
		break;
	case ACCEPT:
		job->result = accept(job->fd, (struct sockaddr *)&address, &length);
		break;
	case EPOLL:
		job->result = epoll_wait(job->fd, &event, 1, -1);
		job->data[0] = 'a' + event.data.fd;
		break;
	case FLOCK:
		job->result = flock(job->fd, LOCK_EX);
		break;
	case CHILD:
		job->result = waitid(P_PIDFD, job->fd, &info, WEXITED);
		snprintf(job->data, sizeof job->data, "%d", info.si_status);
		break;
	}
	job->error = errno;
	return NULL;
}

static void begin(struct job *job, int how, int fd)
{
	memset(job, 0, sizeof *job);
	job->how = how;
	job->fd = fd;
	pthread_create(&job->thread, NULL, work, job);
	nap();
}

static void end(struct job *job, const char *what)
{
	pthread_join(job->thread, NULL);
	printf("%s: %d %s '%.16s'\n", what, job->result, strerror(job->error), job->data);
}

static int taken(const char *text)
{
	int fds[2];

	pipe(fds);
	write(fds[1], text, strlen(text));
	return fds[0];
}

int main(void)
{
	struct job job;
	struct epoll_event event = {.events = EPOLLIN};
	char data[4096];
	int fds[2], other, more[2];
	long count, total;

	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);

	/* another file under the number of the one that is read */
	pipe(fds);
	begin(&job, READ, fds[0]);
	other = taken("other");
	printf("dup2 %d\n", dup2(other, fds[0]) == fds[0]);
	nap();
	printf("write to the first: %ld\n", (long)write(fds[1], "first", 5));
	end(&job, "read over dup2");
	errno = 0;
	printf("write once more: %ld", (long)write(fds[1], "x", 1));
	printf(" %s\n", strerror(errno));
	printf("read the number: %ld\n", (long)read(fds[0], data, 16));

	/* closed: the pipe has a reader as long as the read goes on */
	pipe(fds);
	begin(&job, READ, fds[0]);
	printf("close %d\n", close(fds[0]));
	errno = 0;
	printf("fcntl %d", fcntl(fds[0], F_GETFD));
	printf(" %s\n", strerror(errno));
	printf("write %ld\n", (long)write(fds[1], "there", 5));
	end(&job, "read after close");
	errno = 0;
	printf("write again: %ld", (long)write(fds[1], "x", 1));
	printf(" %s\n", strerror(errno));

	/* the writing end closed by number: no end for the reader while the write goes on */
	pipe(fds);
	begin(&job, WRITE, fds[1]);
	other = dup(1);
	dup2(other, fds[1]);
	for (total = 0; (count = read(fds[0], data, sizeof data)) > 0; total += count)
		;
	printf("read %ld then %ld\n", total, count);
	end(&job, "write over dup2");

	/* sockets */
	socketpair(AF_UNIX, SOCK_STREAM, 0, more);
	begin(&job, RECV, more[0]);
	dup2(taken("other"), more[0]);
	write(more[1], "socket", 6);
	end(&job, "recv over dup2");
	errno = 0;
	printf("its peer is gone: %ld", (long)write(more[1], "x", 1));
	printf(" %s\n", strerror(errno));

	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0holding"};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(listener, (struct sockaddr *)&address, 10);
	listen(listener, 5);
	begin(&job, ACCEPT, listener);
	close(listener);
	printf("connect: %d\n", connect(client, (struct sockaddr *)&address, 10));
	pthread_join(job.thread, NULL);
	printf("accepted: %d\n", job.result >= 0);
	write(client, "hello", 5);
	printf("and it is the peer: %ld\n", (long)read(job.result, data, 16));
	close(client);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	errno = 0;
	printf("connect again: %d", connect(client, (struct sockaddr *)&address, 10));
	printf(" %s\n", strerror(errno));

	/* an epoll instance */
	int epfd = epoll_create1(0);
	pipe(fds);
	event.data.fd = 1;
	epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event);
	begin(&job, EPOLL, epfd);
	other = epoll_create1(0);
	dup2(other, epfd);
	write(fds[1], "x", 1);
	end(&job, "epoll_wait over dup2");

	/* an event counter; a lock */
	other = eventfd(0, 0);
	int counter = dup(other);
	begin(&job, EVENT, counter);
	dup2(taken("otherwise"), counter);
	unsigned long five = 5;
	write(other, &five, 8);
	pthread_join(job.thread, NULL);
	printf("event: %d %d\n", job.result, job.data[0]);

	int first = open("lock", O_RDWR | O_CREAT, 0600), second = open("lock", O_RDWR);
	unlink("lock");
	flock(first, LOCK_EX);
	begin(&job, FLOCK, second);
	close(second);
	flock(first, LOCK_UN);
	end(&job, "flock after close");
	printf("nobody has it: %d\n", flock(first, LOCK_EX | LOCK_NB));

	/* poll looks its descriptors up each time */
	pipe(fds);
	if (!fork()) {
		nap();
		nap();
		write(fds[1], "x", 1);
		_exit(0);
	}
	struct pollfd one = {.fd = fds[0], .events = POLLIN};
	printf("poll: %d %d\n", poll(&one, 1, 2000), one.revents);

	/* a child, by descriptor: closed, and another child under its number */
	wait(NULL);
	for (int i = 0; i < 2; i++) {
		int pids[2], status;

		pipe(fds), pipe(more);
		for (int j = 0; j < 2; j++)
			if (!(pids[j] = fork())) {
				close(fds[1]), close(more[1]);
				read(j ? more[0] : fds[0], data, 1);
				_exit(10 * i + j);
			}
		other = syscall(SYS_pidfd_open, pids[0], 0);
		begin(&job, CHILD, other);
		if (i)
			dup2(syscall(SYS_pidfd_open, pids[1], 0), other);
		else
			close(other);
		close(more[1]);
		nap();
		close(fds[1]);
		end(&job, "waitid");
		printf("the other child: %d", waitpid(pids[1], &status, 0) == pids[1]);
		printf(" %x\n", status);
	}
}
