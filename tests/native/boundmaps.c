/* Shared mappings of files in the working folder, and what reads, other mappings, other processes and, when this has
 * ended, others show of what was stored.  With an argument it ends by that signal, or never (0).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static char *map(int fd, long size, int prot, int flags, long offset)
{
	char *p = mmap(0, size, prot, flags, fd, offset);

	if (p == MAP_FAILED) {
		printf("mmap: %s\n", strerror(errno));
		exit(1);
	}
	return p;
}

static void look(const char *what, int fd, long offset)
{
	char bytes[5] = "";
	long done = pread(fd, bytes, 4, offset);

	for (int i = 0; i < 4; i++)
		bytes[i] = bytes[i] ? bytes[i] : '0';
	printf("%s: %ld %s\n", what, done, bytes);
}

static int filled(const char *name, long size)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	char *bytes = malloc(size);

	memset(bytes, '.', size);
	write(fd, bytes, size);
	return fd;
}

static void child_stores(char *at, int how, char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		at[0] = 'C';
		if (how == 1)
			kill(getpid(), SIGKILL);
		if (how == 2)
			execv(argv[0], (char *[]){argv[0], "nothing", 0});
		_exit(3);
	}
	waitpid(pid, &status, 0);
	printf("child: %x\n", status);
}

int main(int argc, char **argv)
{
	struct stat st;
	int status, fd, other, again;
	char *one, *two, *read_only, *private, c;

	setvbuf(stdout, 0, _IONBF, 0);
	if (argc > 1 && !strcmp(argv[1], "nothing"))
		return 4;
	fd = filled("data", 2 * PAGE + 100);
	one = map(fd, 3 * PAGE, RW, MAP_SHARED, 0);
	memcpy(one + 10, "abcd", 4);
	look("stored, then read", fd, 10);
	pwrite(fd, "EF", 2, 11);
	printf("written, then loaded: %.4s\n", one + 10);
	link("data", "name");
	other = open("name", O_RDONLY);
	read_only = map(other, 2 * PAGE, PROT_READ, MAP_SHARED, PAGE);
	printf("write only what is read: %s\n", mprotect(read_only, PAGE, RW) ? strerror(errno) : "done");
	one[PAGE + 1] = 'x';
	look("by another name", other, PAGE);
	printf("by another mapping: %.3s\n", read_only);
	again = open("name", O_RDWR);
	two = map(again, PAGE, RW, MAP_SHARED, PAGE);
	two[2] = 'y';
	look("by the second mapping", fd, PAGE);
	printf("by the first: %.4s\n", one + PAGE);
	private = map(fd, PAGE, RW, MAP_PRIVATE, 0);
	private[10] = 'P';
	look("private", fd, 10);

	close(fd), close(other), close(again);
	unlink("data");
	one[20] = 'u';
	fd = open("name", O_RDWR);
	look("closed, unlinked, stored", fd, 20);
	rename("name", "renamed");
	one[21] = 'v';
	look("renamed", fd, 20);
	child_stores(one + 22, 0, argv);
	look("a child's that exited", fd, 20);
	child_stores(one + 30, 1, argv);
	look("a child's that was killed", fd, 30);
	child_stores(one + 34, 2, argv);
	look("a child's that ran another program", fd, 32);
	printf("msync: %d %d\n", msync(one, 3 * PAGE, MS_SYNC), msync(one, PAGE, MS_ASYNC));

	one[2 * PAGE + 200] = 'z';
	fstat(fd, &st);
	printf("behind the end: %ld bytes\n", (long)st.st_size);
	ftruncate(fd, 2 * PAGE + 50);
	printf("cut: %c %d\n", one[2 * PAGE + 49], one[2 * PAGE + 50]);
	ftruncate(fd, 3 * PAGE + 10);
	look("and grown", fd, 2 * PAGE + 48);
	pwrite(fd, "end", 3, 3 * PAGE + 7);
	munmap(two, PAGE);
	one[5] = 'm';
	munmap(one, 3 * PAGE);
	look("unmapped", fd, 4);

	one = map(fd, 4 * PAGE, RW, MAP_SHARED, 0);
	printf("mapped anew: %.4s %.3s\n", one + 4, one + 3 * PAGE + 7);
	one[PAGE] = 'w';
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
	printf("punched: %d %c\n", one[4], one[PAGE]);
	one = mremap(one, 4 * PAGE, 2 * PAGE, 0);
	one[PAGE + 9] = 'r';
	look("remapped", fd, PAGE + 8);
	read_only = map(fd, PAGE, PROT_READ, MAP_SHARED, 0);
	mprotect(read_only, PAGE, RW);
	read_only[3] = 'q';
	look("what became writable", fd, 0);

	memcpy(one + PAGE, "removed", 7);
	printf("removed: %d", madvise(one + PAGE, PAGE, MADV_REMOVE));
	printf(" %d, through what is read-only: %d", one[PAGE], mprotect(read_only, PAGE, PROT_READ));
	printf(" %d", madvise(read_only, PAGE, MADV_REMOVE));
	printf(", what is private: %d", madvise(private, PAGE, MADV_REMOVE));
	printf(" %s\n", strerror(errno));
	look("and the file", fd, PAGE);

	/* Left to the end. */
	strcpy(one + PAGE + 100, "stored at last");
	one = map(filled("second", 100), PAGE, RW, MAP_SHARED, 0);
	strcpy(one + 50, "also");
	if (argc > 1) {
		printf("ending by %s\n", argv[1]);
		status = atoi(argv[1]);
		for (volatile long i = 0; !status; i++)
			;
		kill(getpid(), status);
	}
	return 0;
}
