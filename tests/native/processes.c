/* Processes: making them, what they share, running programs, waiting, who they are; built with glibc's static library.
 *
 * Every line is one step and what came of it, without any number that the kernel chose.  Called with arguments it is one of
 * the programs that it runs.  It is to be run in an empty working directory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <unistd.h>

static void step(const char *what, long result)
{
	if (result < 0)
		printf("%s = %ld %s\n", what, result, strerrorname_np(errno));
	else
		printf("%s = %ld\n", what, result);
	fflush(stdout);
}
#define S(expr) (errno = 0, step(#expr, (long)(expr)))

static int status;
static pid_t made;

#define CHILD(body)                                                                                                          \
	do {                                                                                                                 \
		printf("child: %s\n", #body);                                                                                \
		fflush(stdout);                                                                                              \
		if (!(made = fork())) {                                                                                      \
			body;                                                                                                \
			_exit(0);                                                                                            \
		}                                                                                                            \
	} while (0)
#define WAIT()                                                                                                               \
	do {                                                                                                                 \
		status = 0;                                                                                                  \
		S(waitpid(made, &status, 0) == made);                                                                        \
		S(status);                                                                                                   \
	} while (0)

static int other(int argc, char **argv)
{
	if (!strcmp(argv[1], "show")) {
		for (int i = 0; i < argc; i++)
			printf("argv[%d]: %s\n", i, i ? argv[i] : "");
		for (char **e = environ; *e; e++)
			printf("env: %s\n", *e);
		for (int fd = 0; fd < 20; fd++)
			printf("%d", fcntl(fd, F_GETFD) >= 0);
		struct sigaction act;
		sigset_t mask;
		sigprocmask(SIG_BLOCK, 0, &mask);
		printf(" usr1 blocked %d", sigismember(&mask, SIGUSR1));
		sigaction(SIGUSR1, 0, &act);
		printf(" ignored %d", act.sa_handler == SIG_IGN);
		sigaction(SIGUSR2, 0, &act);
		printf(" usr2 default %d umask %o\n", act.sa_handler == SIG_DFL, umask(0));
		char name[17] = "", cwd[200];
		prctl(PR_GET_NAME, name);
		printf("name %s cwd %s\n", name, strrchr(getcwd(cwd, sizeof cwd), '/'));
		return 0;
	}
	return atoi(argv[1]);
}

static void handler(int n) { (void)n; }

static void running(void)
{
	char *show[] = {"name", "show", "", "a b", 0}, *env[] = {"A=1", "B=", 0}, *fails[] = {"x", 0};
	int fd = open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	sigset_t mask;
	char *big[3] = {"x", malloc(200000), 0};

	S(dup2(fd, 9));
	S(fcntl(9, F_SETFD, 0));
	CHILD(signal(SIGUSR1, SIG_IGN); signal(SIGUSR2, handler); sigemptyset(&mask); sigaddset(&mask, SIGUSR1); sigprocmask(SIG_BLOCK, &mask, 0); umask(027); execve("/proc/self/exe", show, env));
	WAIT();
	write(fd, "#! /proc/self/exe  show  \nrest\n", 31);
	S(execve("file", fails, env));
	S(fchmod(fd, 0755));
	close(fd);
	close(9);
	CHILD(execve("./file", fails, env));
	WAIT();
	S(execve("none", fails, env));
	S(execve("/proc", fails, env));
	S(execve("file/none", fails, env));
	S(execve("", fails, env));
	S(execve((char *)8, fails, env));
	S(execve("/proc/self/exe", (char **)8, env));
	memset(big[1], 'x', 199999);
	big[1][199999] = 0;
	S(execve("/proc/self/exe", big, env));
	fd = open("text", O_CREAT | O_WRONLY, 0755);
	write(fd, "hello", 5);
	close(fd);
	S(execve("text", fails, env));
	fd = open("self", O_CREAT | O_WRONLY, 0755);
	write(fd, "#!self\n", 7);
	close(fd);
	S(execve("./self", fails, env));
	fd = open("lost", O_CREAT | O_WRONLY, 0755);
	write(fd, "#!/none\n", 8);
	close(fd);
	S(execve("./lost", fails, env));
	CHILD(show[1] = "7"; execveat(AT_FDCWD, "/proc/self/exe", show, env, 0));
	WAIT();
	CHILD(show[1] = "8"; execveat(open("/proc/self/exe", O_PATH), "", show, env, AT_EMPTY_PATH));
	WAIT();
	S(execveat(AT_FDCWD, "", show, env, 0));
	S(execveat(AT_FDCWD, "", show, env, AT_EMPTY_PATH));
	if (!(made = vfork())) {
		show[1] = "9";
		execve("/proc/self/exe", show, env);
		_exit(1);
	}
	WAIT();
	unlink("file"), unlink("text"), unlink("self"), unlink("lost");
}

static void sharing(void)
{
	static int global = 1;
	int fd = open("shared", O_CREAT | O_RDWR, 0644), ends[2];
	char *common = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *own = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *clean = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *later = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buffer[10] = "";

	common[0] = own[0] = gone[0] = clean[0] = later[0] = 'p';
	mprotect(later, 4096, PROT_READ);
	S(madvise(gone, 4096, MADV_DONTFORK));
	S(madvise(clean, 4096, MADV_WIPEONFORK));
	S(pipe(ends));
	CHILD(S(global); S(own[0]); S(clean[0]); S(later[0]); S(msync(gone, 4096, MS_ASYNC)); mprotect(later, 4096, 3); later[0] = 'c'; global = 2; own[0] = 'c'; common[0] = 'c'; common[4096] = 'C'; write(fd, "child", 5); write(ends[1], "pipe", 4); close(0); chdir("/"));
	close(ends[1]);
	WAIT();
	S(global);
	S(own[0]);
	S(common[0]);
	S(common[4096]);
	S(later[0]);
	S(lseek(fd, 0, SEEK_CUR));
	S(read(ends[0], buffer, 9));
	S(read(ends[0], buffer, 9));
	S(fcntl(0, F_GETFD) >= 0);
	S(mprotect(later, 4096, 3));
	later[0] = 'q';
	S(later[0]);
	if (!(made = vfork())) {
		global = 3;
		_exit(4);
	}
	S(global);
	WAIT();
	made = syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	if (!made) {
		close(fd);
		umask(077);
		_exit(0);
	}
	WAIT();
	S(fcntl(fd, F_GETFD));
	S(umask(022));
	S(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
	S(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0));
	S(unshare(CLONE_FILES | CLONE_FS));
	S(unshare(1));
	unlink("shared");
}

static void waiting(void)
{
	siginfo_t info;
	struct rusage usage;
	int ends[2], fd;
	pid_t first;

	S(waitpid(-1, &status, 0));
	S(waitpid(-1, &status, 64));
	S(waitpid(getpid(), &status, WNOHANG));
	pipe(ends);
	CHILD(char c; close(ends[1]); read(ends[0], &c, 1); _exit(300));
	S(waitpid(made, &status, WNOHANG));
	memset(&info, 1, sizeof info);
	S(waitid(P_PID, made, &info, WEXITED | WNOHANG));
	S(info.si_pid);
	S(info.si_signo);
	close(ends[1]);
	S(waitid(P_PID, made, &info, WEXITED | WNOWAIT));
	S(info.si_pid == made);
	S(info.si_code);
	S(info.si_status);
	S(info.si_signo);
	S(kill(made, 0));
	memset(&usage, 1, sizeof usage);
	S(wait4(made, &status, 0, &usage) == made);
	S(status);
	S(usage.ru_utime.tv_sec);
	S(kill(made, 0));
	S(waitid(P_ALL, 0, &info, WEXITED));
	S(waitid(P_ALL, 0, &info, 0));
	S(waitid(9, 0, &info, WEXITED));
	CHILD(_exit(1));
	first = made;
	S(waitid(P_PID, first, 0, WEXITED | WNOWAIT));
	CHILD(_exit(2));
	S(waitid(P_PID, made, 0, WEXITED | WNOWAIT));
	S(wait(&status) == first);
	S(status);
	S(wait(&status) == made);
	S(status);
	CHILD(setpgid(0, 0); _exit(5));
	setpgid(made, made);
	S(waitpid(0, &status, 0));
	S(waitpid(-made, &status, 0) == made);
	S(status);
	signal(SIGCHLD, SIG_IGN);
	CHILD(_exit(6));
	S(waitpid(made, &status, 0));
	signal(SIGCHLD, SIG_DFL);
	pipe(ends);
	CHILD(char c; close(ends[1]); read(ends[0], &c, 1); _exit(7));
	fd = syscall(SYS_pidfd_open, made, 0);
	S(fcntl(fd, F_GETFD));
	struct pollfd p = {fd, POLLIN, 0};
	S(poll(&p, 1, 0));
	close(ends[1]);
	S(poll(&p, 1, -1));
	S(p.revents);
	S(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
	S(waitid(3, fd, &info, WEXITED));
	S(info.si_status);
	S(waitid(3, fd, &info, WEXITED));
	S(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
	S(waitid(3, 0, &info, WEXITED));
	S(syscall(SYS_pidfd_open, 0, 0));
	S(syscall(SYS_pidfd_open, getpid(), 1));
	close(fd);
}

static void killing(void)
{
	siginfo_t info;

	CHILD(raise(SIGTERM));
	WAIT();
	CHILD(pause());
	S(kill(made, SIGKILL));
	S(waitid(P_PID, made, &info, WEXITED));
	S(info.si_code);
	S(info.si_status);
	CHILD(setpgid(0, 0); pause());
	setpgid(made, made);
	S(kill(-made, SIGINT));
	WAIT();
	CHILD(*(volatile int *)0 = 1);
	WAIT();
	CHILD(execl("/proc/self/exe", "x", "segv", (char *)0); _exit(1));
	WAIT();
}

static void families(void)
{
	int ends[2], status2;
	char c;
	struct tms t;

	pipe(ends);
	S(getpid() == getpgrp() || getpgid(0) == getpgrp());
	CHILD(S(setsid() == getpid()); S(getsid(0) == getpid()); S(getpgrp() == getpid()); S(setsid()); S(setpgid(0, 0)));
	WAIT();
	CHILD(S(setpgid(0, 0)); S(getpgrp() == getpid()); S(getsid(0) == getsid(getppid())); S(setsid()); S(setpgid(0, getppid() == 1 ? 1 : 99999)));
	WAIT();
	S(setpgid(-1, 0));
	S(setpgid(0, -1));
	S(setpgid(99999, 0));
	S(getpgid(99999));
	S(getsid(-1));
	S(prctl(PR_SET_CHILD_SUBREAPER, 1));
	fflush(stdout);
	pid_t me = getpid();
	if (!(made = fork())) {
		if (!fork()) {
			close(ends[1]);
			read(ends[0], &c, 1); /* until the parent has been waited for */
			S(getppid() == me);
			_exit(9);
		}
		_exit(0);
	}
	WAIT();
	close(ends[1]);
	S(wait(&status2) > 0);
	S(status2);
	S(wait(&status2));
	S(prctl(PR_SET_CHILD_SUBREAPER, 0));
	S(times(&t) > 0);
	S(t.tms_cutime >= 0);
}

static void users(void)
{
	uid_t a, b, c;
	gid_t groups[4] = {7, 3};
	int root = geteuid() == 0;

	S(getresuid(&a, &b, &c));
	if (!root) {
		S(setuid(a + 1) == -1);
		return;
	}
	CHILD(S(setgroups(2, groups)); S(getgroups(0, 0)); S(getgroups(1, groups)); S(getgroups(4, groups)); S(groups[0]); S(setresuid(-1, 5, 6)); S(getuid()); S(geteuid()); S(setuid(4)); S(setuid(6)); S(geteuid()); S(setuid(0)); S(getuid()); S(seteuid(5)); S(setresuid(5, 5, 5)); S(setresuid(6, 6, 6)); S(setgroups(0, 0)));
	WAIT();
	CHILD(S(setresgid(1, 2, 3)); S(setregid(-1, 3)); S(getgid()); S(getegid()); S(setuid(5)); S(setuid(0)); S(setgid(9)); S(setgid(1)); S(getegid()); S(setreuid(5, 5)); S(setreuid(0, -1)));
	WAIT();
	CHILD(S(setreuid(5, 0)); S(getuid()); S(geteuid()); S(setuid(7)); S(getuid()); S(geteuid()); S(setuid(0)));
	WAIT();
}

int main(int argc, char **argv)
{
	static char segv[] = "segv";
	if (argc > 1 && !strcmp(argv[1], segv))
		__builtin_trap();
	if (argc > 1)
		return other(argc, argv);
	running();
	sharing();
	waiting();
	families();
	users();
	killing();
	return 0;
}
