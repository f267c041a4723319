/* Several shared mappings of one file: what each shows of what was stored into another, written to the file, or cut off
 * it; also in a child (unless there is an argument), after some of them went, and through mprotect and madvise.  Built
 * with the C library; a line for each look.
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

static int fd;
static char *map[6];

static char *shared(char *at, long size, int prot, long offset)
{
	char *p = mmap(at, size, prot, MAP_SHARED | (at ? MAP_FIXED : 0), fd, offset);

	return p == MAP_FAILED ? 0 : p;
}

static void look(const char *what, long offset)
{
	char c = '!';

	printf("%s:", what);
	for (int i = 0; i < 6; i++)
		if (map[i])
			printf(" %c", map[i][offset] ? map[i][offset] : '0');
	pread(fd, &c, 1, offset);
	printf(", file %c\n", c ? c : '0');
}

int main(int argc, char **argv)
{
	char name[] = "/tmp/aliasesXXXXXX", *block;

	fd = mkstemp(name);
	ftruncate(fd, 4 * PAGE);
	for (int i = 0; i < 4; i++)
		map[i] = shared(0, 4 * PAGE, i == 3 ? PROT_READ : RW, 0);
	map[0][5] = 'a';
	map[1][PAGE + 5] = 'b';
	look("stored into the first", 5);
	look("stored into the second", PAGE + 5);
	pwrite(fd, "c", 1, 2 * PAGE);
	look("written", 2 * PAGE);
	map[2][2 * PAGE + 1] = 'd';
	look("stored beside", 2 * PAGE + 1);

	munmap(map[0], 4 * PAGE);
	map[0] = 0;
	look("one less", 5);
	map[1][6] = 'e';
	munmap(map[1], 4 * PAGE);
	map[1] = 0;
	look("two less", 6);
	map[2][7] = 'f';
	munmap(map[2], 4 * PAGE);
	map[2] = 0;
	look("none left that can be written", 7);
	map[0] = shared(0, 4 * PAGE, RW, 0);
	map[0][8] = 'g';
	look("again", 8);

	fflush(stdout);
	if (argc == 1 && !fork()) {
		map[0][9] = 'h';
		map[1] = shared(0, 4 * PAGE, RW, 0);
		map[1][10] = 'i';
		look("the child's", 10);
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	look("of the child", 9);
	look("of the child's own", 10);
	map[1] = shared(0, 4 * PAGE, RW, 0);
	map[1][11] = 'j';
	look("after the child", 11);

	mprotect(map[1], 4 * PAGE, PROT_NONE);
	block = map[1];
	map[1] = 0;
	map[0][12] = 'k';
	mprotect(block, 4 * PAGE, RW);
	map[1] = block;
	look("through mprotect", 12);
	madvise(map[0], 4 * PAGE, MADV_DONTNEED);
	look("after madvise", 12);
	map[0][13] = 'l';
	look("stored after madvise", 13);

	ftruncate(fd, PAGE);
	ftruncate(fd, 4 * PAGE);
	look("cut and grown", PAGE + 5);
	map[1][PAGE + 5] = 'm';
	look("stored where it was cut", PAGE + 5);
	pwrite(fd, "n", 1, 3 * PAGE);
	look("written where it was cut", 3 * PAGE);

	block = mmap(0, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map[1] = mremap(map[1], 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, block + PAGE);
	map[1][16] = 'r';
	map[0][17] = 's';
	look("moved", 16);
	look("stored beside it", 17);
	map[4] = shared(0, 4 * PAGE, RW, 0);
	map[4][18] = 't';
	look("a new one", 18);
	map[1] = mremap(map[1], 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	mmap(map[1] + 2 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	map[1] = mremap(map[1], 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	map[1][19] = 'u';
	map[1][3 * PAGE + 19] = 'v';
	look("shrunk and grown", 19);
	munmap(map[4], 4 * PAGE);
	map[4] = 0;
	look("its other end", 3 * PAGE + 19);

	block = mmap(0, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map[4] = shared(block, 4 * PAGE, RW, 0);
	map[5] = shared(block + 4 * PAGE, 4 * PAGE, RW, 0);
	memcpy(block + 4 * PAGE - 2, "ring", 4);
	look("before the seam", 4 * PAGE - 1);
	look("behind the seam", 1);
	munmap(block + 2 * PAGE, 4 * PAGE);
	map[4] = map[5] = 0;
	block[PAGE] = 'o';
	block[6 * PAGE] = 'p';
	look("stored into halves", PAGE);
	look("stored into the other half", 2 * PAGE);
	munmap(block, 8 * PAGE);
	unlink(name);
	close(fd);
	for (int i = 0; i < 3000; i++)
		if (!shared(0, PAGE, RW, 0) && i == 0)
			printf("a closed file\n");
	map[0][14] = 'q';
	printf("at the end: %c %c\n", map[1][14], map[3][14]);
	return 0;
}
