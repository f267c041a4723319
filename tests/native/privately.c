/* A private mapping of a file that is written, cut, grown and stored into by others: what its pages show that were not
 * stored into, and those that were.  mmap(2) leaves it open; this is what Linux does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static char *private, *code, *shared;
static int fd;

static void look(const char *what)
{
	printf("%s:", what);
	for (int page = 0; page < 4; page++)
		printf(" %c%c", private[page * PAGE] ? private[page * PAGE] : '0', private[page * PAGE + 9] ? private[page * PAGE + 9] : '0');
	printf(" read-only: %c%c\n", code[0], code[9] ? code[9] : '0');
}

static void out_of_reach(int kind)
{
	char *at;

	ftruncate(fd, PAGE);
	pwrite(fd, "8", 1, 0);
	at = mmap(0, 2 * PAGE, PROT_NONE, kind, fd, 0);
	pwrite(fd, "9", 1, 0);
	printf("grown behind what is out of reach: %d", ftruncate(fd, 2 * PAGE));
	printf(" %ld", pwrite(fd, "!", 1, PAGE));
	mprotect(at, 2 * PAGE, RW);
	printf(" %c %c", at[0], at[PAGE]);
	at[PAGE + 1] = '?';
	printf(" %.2s\n", at + PAGE);
}

int main(void)
{
	char bytes[4 * PAGE];

	setvbuf(stdout, 0, _IONBF, 0);
	for (int page = 0; page < 4; page++)
		memset(bytes + page * PAGE, 'a' + page, PAGE);
	fd = open("private", O_RDWR | O_CREAT | O_TRUNC, 0600);
	write(fd, bytes, sizeof bytes);
	private = mmap(0, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	code = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	shared = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	look("at first");
	pwrite(fd, "1", 1, 0);
	look("written");
	private[9] = 'P';
	pwrite(fd, "2", 1, 0), pwrite(fd, "2", 1, PAGE);
	look("one stored into, two written");
	shared[2 * PAGE] = '3';
	fsync(fd);
	look("the third by a shared mapping");
	if (!fork()) {
		pwrite(fd, "4", 1, 3 * PAGE);
		look("in a child that writes the fourth");
		private[PAGE] = 'C';
		_exit(0);
	}
	wait(0);
	look("its parent");
	ftruncate(fd, 3 * PAGE + 5);
	look("cut within the fourth");
	ftruncate(fd, 4 * PAGE);
	pwrite(fd, "5", 1, 3 * PAGE + 9);
	look("grown, and written there");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE);
	look("a hole for the second");
	ftruncate(fd, PAGE);
	ftruncate(fd, 4 * PAGE);
	pwrite(fd, "67", 2, 2 * PAGE);
	look("cut to one page and grown");
	madvise(private, PAGE, MADV_DONTNEED);
	look("not needed any more");
	mprotect(code, PAGE, PROT_NONE);
	pwrite(fd, "8", 1, 0);
	mprotect(code, PAGE, PROT_READ);
	look("written while nobody could read it");
	out_of_reach(MAP_PRIVATE);
	out_of_reach(MAP_SHARED);
	unlink("private");
	return 0;
}
