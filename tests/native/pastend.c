/* Touching a mapping behind the end of its file: which signal, which code, which address; and what the file's growing and
 * shrinking make of it.
 *
 * Built with: gcc -static -O1 -w, and the C library.  It makes one file in the current directory, and removes it.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L

static sigjmp_buf back;
static siginfo_t last;
static volatile char sink;

static void on_fault(int number, siginfo_t *info, void *context)
{
	last = *info;
	siglongjmp(back, 1);
}

static void report(const char *what, char *base)
{
	printf("%s: signal %d code %d at %+ld\n", what, last.si_signo, last.si_code, (char *)last.si_addr - base);
}

static void load(char *base, long offset)
{
	printf("load %ld ", offset);
	if (sigsetjmp(back, 1)) {
		report("", base);
		return;
	}
	printf("= %02x\n", (unsigned char)(sink = *(volatile char *)(base + offset)));
}

static void store(char *base, long offset)
{
	printf("store %ld ", offset);
	if (sigsetjmp(back, 1)) {
		report("", base);
		return;
	}
	*(volatile char *)(base + offset) = 'S';
	printf("done\n");
}

static void run(char *base, long offset)
{
	printf("run %ld ", offset);
	if (sigsetjmp(back, 1)) {
		report("", base);
		return;
	}
	((void (*)(void))(base + offset))();
}

static void look(const char *what, int fd, int prot, int flags)
{
	char *base = mmap(NULL, 6 * PAGE, prot, flags, fd, 0);

	printf("%s\n", what);
	load(base, PAGE + 1);
	load(base, 2 * PAGE - 1); /* behind the end, in its page */
	load(base, 2 * PAGE);
	load(base, 5 * PAGE + 7);
	store(base, 0);
	store(base, PAGE + 500);
	store(base, 3 * PAGE + 9);
	run(base, 4 * PAGE);
	printf("read into it: %ld", (long)pread(fd, base + 2 * PAGE, 10, 0));
	printf(" %s\n", errno == EFAULT ? "EFAULT" : "");
	printf("write of it: %ld", (long)write(1, base + 2 * PAGE, 10));
	printf(" %s\n", errno == EFAULT ? "EFAULT" : "");
	ftruncate(fd, 4 * PAGE + 3);
	load(base, 2 * PAGE);
	load(base, 4 * PAGE + 3);
	load(base, 5 * PAGE);
	store(base, 3 * PAGE);
	pwrite(fd, "grown", 5, 5 * PAGE);
	load(base, 5 * PAGE);
	load(base, 5 * PAGE + 4);
	ftruncate(fd, PAGE);
	load(base, 0);
	load(base, PAGE);
	load(base, 3 * PAGE);
	store(base, 4 * PAGE);
	mprotect(base, 6 * PAGE, PROT_NONE);
	load(base, 0);
	load(base, 4 * PAGE);
	mprotect(base, 6 * PAGE, prot);
	load(base, 4 * PAGE);
	ftruncate(fd, PAGE + 100);
	load(base, PAGE);
	munmap(base, 6 * PAGE);
	load(base, 4 * PAGE);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	char data[PAGE + 100];
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int read_only, status;
	char *base;

	setvbuf(stdout, NULL, _IONBF, 0);
	memset(data, 'f', sizeof data);
	pwrite(fd, data, sizeof data, 0);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);

	look("shared", fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	look("private", fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	look("private, to be run", fd, PROT_READ | PROT_EXEC, MAP_PRIVATE);
	read_only = open("file", O_RDONLY);
	look("shared, not writable", read_only, PROT_READ, MAP_SHARED);

	base = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 8 * PAGE);
	printf("wholly behind it\n");
	load(base, 0);
	store(base, PAGE);

	fflush(stdout);
	if (!fork()) {
		signal(SIGBUS, SIG_DFL);
		sink = base[0];
		_exit(0);
	}
	wait(&status);
	printf("a child: ended by %d\n", WTERMSIG(status));
	unlink("file");
	signal(SIGBUS, SIG_DFL);
	sink = base[0];
}
