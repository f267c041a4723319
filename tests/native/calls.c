/* Many calls, one after the other, whose arguments strace(1) shows by their names and fields: see tests/run/test_strace.py.
 *
 * Built with: gcc -static -O1 -w, and the C library.  It works in the current directory, and leaves nothing in it.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char data[4096];

static void files(void)
{
	struct iovec parts[2] = {{"one", 3}, {"two\n", 4}};
	struct stat about;
	struct statx more;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
	struct timespec times[2] = {{1000000000, 5}, {0, UTIME_OMIT}};
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	writev(fd, parts, 2);
	pwrite(fd, "at an offset", 12, 100);
	pread(fd, data, 12, 100);
	lseek(fd, 0, SEEK_SET);
	lseek(fd, -5, SEEK_END);
	lseek(fd, 7, SEEK_HOLE);
	parts[0] = (struct iovec){data, 2};
	parts[1] = (struct iovec){data + 100, 2};
	readv(fd, parts, 2);
	fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK);
	fcntl(fd, F_GETFL);
	fcntl(fd, F_GETFD);
	fcntl(fd, F_SETFD, 0);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_DUPFD_CLOEXEC, 20);
	fcntl(fd, F_SETLK, &lock);
	lock.l_type = F_UNLCK;
	fcntl(fd, F_SETLK, &lock);
	lock.l_type = F_RDLCK;
	fcntl(fd, F_GETLK, &lock);
	flock(fd, LOCK_EX | LOCK_NB);
	fstat(fd, &about);
	fstatat(AT_FDCWD, "file", &about, AT_SYMLINK_NOFOLLOW);
	fstatat(fd, "", &about, AT_EMPTY_PATH);
	stat("nothing", &about);
	syscall(SYS_statx, AT_FDCWD, "file", AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS, &more);
	syscall(SYS_statx, AT_FDCWD, "nothing", AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MODE | STATX_SIZE, &more);
	ftruncate(fd, 50);
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100);
	fsync(fd);
	fchmod(fd, 0600);
	futimens(fd, times);
	mkdir("folder", 0700);
	mkdirat(AT_FDCWD, "folder", 0700);
	rename("file", "folder/file");
	syscall(SYS_renameat2, AT_FDCWD, "folder/file", AT_FDCWD, "file", RENAME_NOREPLACE);
	symlink("file", "link");
	readlink("link", data, sizeof data);
	link("file", "second");
	access("link", R_OK | W_OK);
	faccessat(AT_FDCWD, "nothing", F_OK, 0);
	chdir("folder");
	chdir("..");
	umask(027);
	unlink("link");
	unlinkat(AT_FDCWD, "second", 0);
	DIR *dir = opendir("folder");
	while (readdir(dir))
		;
	closedir(dir);
	rmdir("folder");
	unlinkat(AT_FDCWD, "folder", AT_REMOVEDIR);
	unlink("file");
	dup2(fd, 21);
	dup3(fd, 22, O_CLOEXEC);
	copy_file_range(fd, NULL, 21, NULL, 10, 0);
	sendfile(22, fd, NULL, 10);
	close(fd);
	syscall(SYS_close_range, 20, 22, 0);
	fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	fcntl(fd, F_GET_SEALS);
	close(fd);
	open("/nothing", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOCTTY);
	open(".", O_RDONLY | O_PATH);
	close(3);
	mknod("/nothing/pipe", S_IFIFO | 0600, 0);
}

static void memory(void)
{
	char *place = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	mprotect(place, 4096, PROT_READ | PROT_EXEC);
	mprotect(place, 4096, PROT_NONE);
	madvise(place, 8192, MADV_DONTNEED);
	madvise(place, 8192, MADV_HUGEPAGE);
	mincore(place, 4096, (unsigned char *)data);
	place = mremap(place, 8192, 4096, MREMAP_MAYMOVE);
	msync(place, 4096, MS_SYNC);
	munmap(place, 4096);
	mmap(NULL, 4096, PROT_READ, MAP_SHARED, 77, 4096);
}

static void waiting(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = 7};
	struct epoll_event events[4];
	struct timespec nothing = {0, 0};
	struct timeval none = {0, 0};
	struct itimerspec soon = {.it_value = {100, 5}}, was;
	sigset_t set;
	fd_set reading, writing;
	int fds[2], epfd = epoll_create1(EPOLL_CLOEXEC), counter, timer;
	struct pollfd polled[3] = {{.events = POLLIN}, {.events = POLLOUT | POLLHUP}, {.fd = 99, .events = POLLIN | POLLPRI}};

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pipe(fds);
	pipe2(fds, O_NONBLOCK | O_CLOEXEC);
	epoll_ctl(epfd, EPOLL_CTL_ADD, fds[1], &event);
	epoll_ctl(epfd, EPOLL_CTL_ADD, fds[1], &event);
	event.events = EPOLLOUT | EPOLLONESHOT;
	event.data.u64 = 0x123456789abcdef;
	epoll_ctl(epfd, EPOLL_CTL_MOD, fds[1], &event);
	epoll_wait(epfd, events, 4, 0);
	epoll_wait(epfd, events, 4, 0);
	epoll_pwait(epfd, events, 4, 0, &set);
	epoll_ctl(epfd, EPOLL_CTL_DEL, fds[1], NULL);
	polled[0].fd = fds[0];
	polled[1].fd = fds[1];
	poll(polled, 3, 0);
	poll(polled, 1, 0);
	ppoll(polled, 2, &nothing, &set);
	FD_ZERO(&reading);
	FD_ZERO(&writing);
	FD_SET(fds[0], &reading);
	FD_SET(fds[1], &writing);
	select(fds[1] + 1, &reading, &writing, NULL, &none);
	FD_SET(fds[0], &reading);
	FD_ZERO(&writing);
	pselect(fds[1] + 1, &reading, &writing, NULL, &nothing, &set);
	read(fds[0], data, 10);
	write(fds[1], "\1\2abc\n\t\377\"", 9);
	read(fds[0], data, 100);
	ioctl(fds[0], FIONREAD, data);
	ioctl(fds[0], TCGETS, data);
	ioctl(fds[0], TIOCGWINSZ, data);
	ioctl(fds[0], FIONBIO, data);
	ioctl(fds[0], FIOCLEX);
	fcntl(fds[0], F_GETPIPE_SZ);
	fcntl(fds[0], F_SETPIPE_SZ, 65536);
	counter = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
	read(counter, data, 8);
	read(counter, data, 8);
	close(counter);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	timerfd_settime(timer, 0, &soon, &was);
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &was, NULL);
	timerfd_gettime(timer, &was);
	close(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	for (int fd = 3; fd <= timer; fd++)
		close(fd);
}

static void sockets(void)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(41234)}, peer;
	struct sockaddr_in6 here6 = {.sin6_family = AF_INET6, .sin6_port = htons(41235), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/tmp/nowhere/socket"};
	socklen_t length = sizeof peer;
	int one = 1, fds[2], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), client, server;
	struct msghdr message = {.msg_name = &peer, .msg_namelen = sizeof peer};
	struct iovec part = {"message", 7};
	struct linger linger = {1, 5};

	inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	bind(listener, (struct sockaddr *)&here, sizeof here);
	listen(listener, 16);
	getsockname(listener, (struct sockaddr *)&peer, &length);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(client, (struct sockaddr *)&here, sizeof here);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	length = sizeof peer;
	getpeername(client, (struct sockaddr *)&peer, &length);
	length = sizeof one;
	getsockopt(client, SOL_SOCKET, SO_ERROR, &one, &length);
	getsockopt(client, SOL_SOCKET, SO_TYPE, &one, &length);
	send(client, "through", 7, MSG_NOSIGNAL);
	recv(server, data, 100, MSG_PEEK);
	recv(server, data, 100, MSG_DONTWAIT | MSG_TRUNC);
	recvfrom(server, data, 100, MSG_DONTWAIT, NULL, NULL);
	shutdown(client, SHUT_WR);
	recv(server, data, 100, 0);
	close(client);
	close(server);
	close(listener);

	listener = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	bind(listener, (struct sockaddr *)&here6, sizeof here6);
	sendto(listener, "to itself", 9, 0, (struct sockaddr *)&here6, sizeof here6);
	length = sizeof here6;
	recvfrom(listener, data, 100, 0, (struct sockaddr *)&here6, &length);
	connect(listener, (struct sockaddr *)&here6, sizeof here6);
	close(listener);

	client = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(client, (struct sockaddr *)&name, sizeof name);
	name.sun_path[0] = 0;
	bind(client, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 10);
	length = sizeof name;
	getsockname(client, (struct sockaddr *)&name, &length);
	close(client);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	message.msg_name = NULL;
	message.msg_namelen = 0;
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	sendmsg(fds[0], &message, MSG_NOSIGNAL);
	part.iov_base = data;
	part.iov_len = 100;
	recvmsg(fds[1], &message, 0);
	close(fds[0]);
	close(fds[1]);
	socket(AF_INET, SOCK_STREAM, 12345);
}

static int child(void *argument)
{
	_exit(3);
}

static void processes(char *self)
{
	struct clone_args arguments = {.flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, .exit_signal = SIGCHLD};
	char *argv[] = {self, "again", "with \"quotes\"", NULL}, *environment[] = {"A=1", "B=2", NULL};
	struct sigaction action = {.sa_handler = SIG_IGN, .sa_flags = SA_RESTART};
	struct itimerval interval = {{0, 0}, {100, 7}};
	struct rlimit limit = {10, 20};
	struct rusage usage;
	siginfo_t info;
	sigset_t set;
	int pid, status, word;
	struct timespec now = {1, 500};

	arguments.child_tid = (long)&word;
	pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (!pid)
		_exit(5);
	waitpid(pid, &status, 0);
	pid = fork();
	if (!pid)
		kill(getpid(), SIGKILL);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	wait4(pid, &status, __WALL, &usage);
	waitpid(-1, &status, WNOHANG);
	pid = fork();
	if (!pid) {
		execve("/nothing", argv, environment);
		execve(self, argv, environment);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	sigaction(SIGUSR1, &action, NULL);
	kill(getpid(), 0);
	kill(getpid(), SIGUSR1);
	syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR2);
	sigtimedwait(&set, &info, &now);
	setitimer(ITIMER_REAL, &interval, NULL);
	interval.it_value.tv_sec = 0;
	interval.it_value.tv_usec = 0;
	setitimer(ITIMER_REAL, &interval, NULL);
	setrlimit(RLIMIT_CORE, &limit);
	getrlimit(RLIMIT_CORE, &limit);
	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 77, &now, NULL, FUTEX_BITSET_MATCH_ANY);
	syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE, 1, 2, &word, 77);
	sched_yield();
	getrandom(data, 0, GRND_NONBLOCK);
	clock_getres(CLOCK_MONOTONIC, &now);
	now = (struct timespec){0, 1000};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &now, NULL);
	syscall(SYS_prctl, 15, "a name", 0, 0, 0);
	syscall(SYS_getcpu, NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 9;
	write(1, "files\n", 6);
	files();
	write(1, "memory\n", 7);
	memory();
	write(1, "waiting\n", 8);
	waiting();
	write(1, "sockets\n", 8);
	sockets();
	write(1, "processes\n", 10);
	processes(argv[0]);
}
