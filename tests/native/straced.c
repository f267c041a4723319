/* Signals of every kind, for what strace shows of them; ends by SIGSEGV, or exits with its argument while another thread
 * waits.  Built with the C library.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf back;

static void handler(int signum) {}

static void jump(int signum)
{
	siglongjmp(back, 1);
}

static void *thread(void *argument)
{
	while (argument)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	sigset_t set;
	int status, fds[2];
	pid_t pid;
	pthread_t other;
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 77 };
	struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
	struct itimerval soon_too = { .it_value.tv_usec = 1000 };
	char *page = mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	signal(SIGUSR1, handler), signal(SIGUSR2, handler), signal(SIGALRM, handler), signal(SIGPIPE, handler);
	signal(SIGRTMIN + 2, handler), signal(SIGRTMIN + 3, handler);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR2);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 5 });
	sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_ptr = (void *)0x1234567890 });
	kill(getpid(), SIGURG);
	signal(SIGHUP, SIG_IGN);
	kill(getpid(), SIGHUP);
	sigemptyset(&set), sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, 0);
	kill(getpid(), SIGWINCH);
	sigprocmask(SIG_UNBLOCK, &set, 0);
	pipe(fds), close(fds[0]);
	write(fds[1], "x", 1);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &soon, 0);
	pause();
	setitimer(ITIMER_REAL, &soon_too, 0);
	pause();
	if (!(pid = fork()))
		_exit(3);
	waitpid(pid, &status, 0);
	if (!(pid = fork()))
		pause();
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!(pid = fork())) {
		raise(SIGSTOP);
		_exit(4);
	}
	waitpid(pid, &status, WUNTRACED);
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	if (!(pid = fork())) {
		raise(SIGABRT);
		_exit(4);
	}
	waitpid(pid, &status, 0);
	pthread_create(&other, 0, thread, 0);
	pthread_join(other, 0);
	signal(SIGSEGV, jump), signal(SIGFPE, jump), signal(SIGILL, jump), signal(SIGTRAP, jump);
	if (!sigsetjmp(back, 1))
		*(volatile char *)page = 1;
	if (!sigsetjmp(back, 1))
		*(volatile char *)0x1000 = 1;
	if (!sigsetjmp(back, 1))
		status = 1 / (status - status);
	if (!sigsetjmp(back, 1))
		__builtin_trap();
	if (!sigsetjmp(back, 1))
		__asm__ volatile("int3");
	signal(SIGSEGV, SIG_DFL);
	if (argc > 1) {
		pthread_create(&other, 0, thread, &other);
		exit(atoi(argv[1]));
	}
	*(volatile char *)0 = 1;
}
