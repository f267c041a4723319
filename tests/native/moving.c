/* Shared memory without a file that mremap moves, doubles, cuts and lets grow, also in a child that has it: what each
 * sees of the others' stores; and what madvise, the maps and a store behind its end say.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define TO (MREMAP_MAYMOVE | MREMAP_FIXED)

static int up[2], down[2];

static void tell(int *pipe)
{
	write(pipe[1], "x", 1);
}

static void hear(int *pipe)
{
	char c;

	read(pipe[0], &c, 1);
}

static char *moved(char *from, long old, long new, int flags, char *to)
{
	char *p = mremap(from, old, new, flags, to);

	if (p == MAP_FAILED)
		printf("mremap %ld %ld %d: %s\n", old / PAGE, new / PAGE, flags, strerror(errno));
	return p;
}

static char *shared(long size, int prot)
{
	return mmap(0, size, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void child(char *a)
{
	char *n;

	hear(down);
	printf("child, after the parent's move: %c %c %c\n", a[0], a[PAGE], a[2 * PAGE]);
	a[1] = 'C', a[3 * PAGE] = 'D';
	tell(up), hear(down);
	n = moved(a, 4 * PAGE, 8 * PAGE, TO, a + 64 * PAGE);
	printf("child, moved itself: %d %c\n", n == a + 64 * PAGE, n[1]);
	n[2] = 'E';
	tell(up), hear(down);
	printf("child, at last: %c %c\n", n[3], n[4]);
	_exit(0);
}

static void run_code(void)
{
	static const unsigned char one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, two[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
	char *w = shared(PAGE, RW), *x;
	int (*f)(void);

	memcpy(w, one, sizeof(one));
	x = moved(w, 0, PAGE, MREMAP_MAYMOVE, 0);
	mprotect(x, PAGE, PROT_READ | PROT_EXEC);
	f = (int (*)(void))x;
	printf("code: %d", f());
	memcpy(w, two, sizeof(two));
	printf(", stored by the other mapping: %d", f());
	x = moved(x, PAGE, PAGE, TO, x - 64 * PAGE);
	f = (int (*)(void))x;
	printf(", moved: %d", f());
	w[1] = 3;
	printf(", stored again: %d\n", f());
}

static void out_of_reach(void)
{
	char *a = shared(2 * PAGE, RW), *b = shared(2 * PAGE, PROT_NONE);

	a[0] = 1;
	mprotect(a, 2 * PAGE, PROT_NONE);
	if (!fork()) {
		mprotect(a, 2 * PAGE, RW), mprotect(b, 2 * PAGE, RW);
		a[0] += 10, a[PAGE] = 20, b[PAGE] = 30;
		_exit(0);
	}
	wait(0);
	mprotect(a, 2 * PAGE, RW), mprotect(b, 2 * PAGE, RW);
	printf("out of reach when a child was made: %d %d %d\n", a[0], a[PAGE], b[PAGE]);
}

static void show_maps(char *at)
{
	char line[256];
	unsigned long low;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx", &low) == 1 && low == (unsigned long)at)
			printf("%.5s %.8s %.5s %s", strchr(line, ' ') + 1, strchr(line, ' ') + 6, strchr(line, ' ') + 15,
			       strrchr(line, '/'));
	fclose(maps);
}

int main(void)
{
	char *a = shared(4 * PAGE, RW), *b, *c, *d, *e, *f, *g;
	int status;

	setvbuf(stdout, 0, _IONBF, 0);
	a[0] = 'a', a[PAGE] = 'b';
	pipe(up), pipe(down);
	if (!fork())
		child(a);
	b = moved(a, 4 * PAGE, 4 * PAGE, TO, a - 64 * PAGE);
	b[0] = 'p', b[2 * PAGE] = 'q';
	tell(down), hear(up);
	printf("parent: %c %c\n", b[1], b[3 * PAGE]);
	tell(down), hear(up);
	printf("parent, after the child's move: %c\n", b[2]);
	c = moved(b, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	b[3] = 'F';
	printf("left where it was: %c %c\n", b[0], c[3]);
	d = moved(c, 0, 4 * PAGE, MREMAP_MAYMOVE, 0);
	d[4] = 'G';
	printf("doubled: %c %c %c\n", d[3], c[4], b[4]);
	tell(down);
	wait(0);

	e = shared(3 * PAGE, RW);
	e[PAGE] = 'e';
	f = moved(e, PAGE, 3 * PAGE, TO, e - 32 * PAGE);
	f[PAGE] = 'h';
	printf("a part, grown: %c\n", e[PAGE]);
	show_maps(f);
	show_maps(e + PAGE);
	munmap(e + PAGE, 2 * PAGE);
	g = moved(f, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE, 0);
	printf("grown behind the end: %c\n", g[PAGE]);
	if (!fork()) {
		g[3 * PAGE] = 'x';
		_exit(0);
	}
	wait(&status);
	printf("store behind the end: %x\n", status);
	printf("not needed: %d %c\n", madvise(g, 3 * PAGE, MADV_DONTNEED), g[PAGE]);
	d = moved(g, 0, 3 * PAGE, MREMAP_MAYMOVE, 0);
	status = madvise(g, 3 * PAGE, MADV_REMOVE);
	printf("removed: %d %d %d\n", status, g[PAGE], d[PAGE]);
	g[PAGE] = 'i';
	printf("stored: %c\n", d[PAGE]);
	moved(mmap(0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0, PAGE, MREMAP_MAYMOVE, 0);
	moved(d, 0, PAGE, 0, 0);
	run_code();
	out_of_reach();
	return 0;
}
