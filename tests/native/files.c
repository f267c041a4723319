/* What the file calls do in an empty working directory; see start.h for how it is built.
 *
 * Every line is one step: the call as it stands here, and its result; or what a file holds or is.  The output is the same on
 * every file system that can do what Linux's own can: nothing depends on numbers of files, on times that are not set here, or
 * on the order of directories.  THROUGH leaves out what a bind that writes through cannot do: named pipes, and files without
 * names.
 */

#pragma GCC diagnostic ignored "-Wunused-function"
#include "start.h"

#include <asm/stat.h>
#include <linux/stat.h>

enum { CREAT = 0100, EXCL = 0200, TRUNC = 01000, APPEND = 02000, NONBLOCK = 04000, DIRECTORY = 0200000, NOFOLLOW = 0400000 };
enum { RDONLY = 0, WRONLY = 1, RDWR = 2, OPATH = 010000000, TMPFILE = 020200000 };
enum { SET = 0, CUR = 1, END = 2, DATA = 3, HOLE = 4, REMOVEDIR = 0x200, CWD = -100 };
enum { LINKNOFOLLOW = 0x100, FOLLOW = 0x400, EMPTY = 0x1000 };

#define P(s) ((word)(s))
static void show(const char *what, long result)
{
	text(what);
	text(" = ");
	number(result);
	flush();
}

#define S(expr) show(#expr, expr)
#define Q(expr) ((void)(expr))

static long open(const char *path, int flags, int mode) { return syscall6(2, P(path), flags, mode, 0, 0, 0); }
static long openat(long fd, const char *path, int flags, int mode) { return syscall6(257, fd, P(path), flags, mode, 0, 0); }
static long close(long fd) { return syscall6(3, fd, 0, 0, 0, 0, 0); }
static long read_(long fd, void *buf, word n) { return syscall6(0, fd, P(buf), n, 0, 0, 0); }
static long write_(long fd, const char *s, word n) { return syscall6(1, fd, P(s), n, 0, 0, 0); }
static long pread(long fd, void *b, word n, long at) { return syscall6(17, fd, P(b), n, at, 0, 0); }
static long pwrite(long fd, const char *s, word n, long at) { return syscall6(18, fd, P(s), n, at, 0, 0); }
static long lseek(long fd, long at, int how) { return syscall6(8, fd, at, how, 0, 0, 0); }
static long truncate(const char *p, long n) { return syscall6(76, P(p), n, 0, 0, 0, 0); }
static long ftruncate(long fd, long n) { return syscall6(77, fd, n, 0, 0, 0, 0); }
static long rename(const char *a, const char *b) { return syscall6(82, P(a), P(b), 0, 0, 0, 0); }
static long renameat2(long f, const char *a, long g, const char *b, int how) { return syscall6(316, f, P(a), g, P(b), how, 0); }
static long mkdir(const char *p, int mode) { return syscall6(83, P(p), mode, 0, 0, 0, 0); }
static long rmdir(const char *p) { return syscall6(84, P(p), 0, 0, 0, 0, 0); }
static long link(const char *a, const char *b) { return syscall6(86, P(a), P(b), 0, 0, 0, 0); }
static long linkat(long f, const char *a, long g, const char *b, int how) { return syscall6(265, f, P(a), g, P(b), how, 0); }
static long unlink(const char *p) { return syscall6(87, P(p), 0, 0, 0, 0, 0); }
static long unlinkat(long fd, const char *p, int how) { return syscall6(263, fd, P(p), how, 0, 0, 0); }
static long symlink(const char *a, const char *b) { return syscall6(88, P(a), P(b), 0, 0, 0, 0); }
static long mknod(const char *p, int mode, long dev) { return syscall6(133, P(p), mode, dev, 0, 0, 0); }
static long chmod(const char *p, int mode) { return syscall6(90, P(p), mode, 0, 0, 0, 0); }
static long fchmod(long fd, int mode) { return syscall6(91, fd, mode, 0, 0, 0, 0); }
static long umask(int mode) { return syscall6(95, mode, 0, 0, 0, 0, 0); }
static long access(const char *p, int how) { return syscall6(21, P(p), how, 0, 0, 0, 0); }
static long chdir(const char *p) { return syscall6(80, P(p), 0, 0, 0, 0, 0); }
static long fchdir(long fd) { return syscall6(81, fd, 0, 0, 0, 0, 0); }
static long dup(long fd) { return syscall6(32, fd, 0, 0, 0, 0, 0); }
static long flock(long fd, int how) { return syscall6(73, fd, how, 0, 0, 0, 0); }
static long fallocate(long fd, int how, long at, long n) { return syscall6(285, fd, how, at, n, 0, 0); }
static long fsync(long fd) { return syscall6(74, fd, 0, 0, 0, 0, 0); }
static long fcntl(long fd, int what, word arg) { return syscall6(72, fd, what, arg, 0, 0, 0); }
static long memfd(const char *name, int flags) { return syscall6(319, P(name), flags, 0, 0, 0, 0); }
static long sendfile(long out, long in, long *at, word n) { return syscall6(40, out, in, P(at), n, 0, 0); }
static long copy(long in, long *a, long out, long *b, word n) { return syscall6(326, in, P(a), out, P(b), n, 0); }
static long mmap(word n, int prot, int flags, long fd, long at) { return syscall6(9, 0, n, prot, flags, fd, at); }
static long munmap(long p, word n) { return syscall6(11, p, n, 0, 0, 0, 0); }
static long msync(long p, word n, int how) { return syscall6(26, p, n, how, 0, 0, 0); }

static char buffer[8192];

static long readlink(const char *p, word n) { return syscall6(89, P(p), P(buffer), n, 0, 0, 0); }
static long getcwd(word n) { return syscall6(79, P(buffer), n, 0, 0, 0, 0); }

/* The bytes of a file: printed with zeros as dots. */
static void holds(const char *path)
{
	long fd = open(path, RDONLY, 0), n, i;

	text(path);
	text(": ");
	if (fd < 0) {
		number(fd);
		flush();
		return;
	}
	n = read_(fd, buffer, 200);
	for (i = 0; i < n; i++)
		line[used++] = buffer[i] ? buffer[i] : '.';
	close(fd);
	flush();
}

static void shape(const char *name, long result, struct stat *s)
{
	text(name);
	text(" is ");
	if (result < 0)
		number(result);
	else {
		hex(s->st_mode);
		text(" links ");
		number((s->st_mode & 0170000) == 0040000 ? 0 : s->st_nlink);
		text(" size ");
		number((s->st_mode & 0170000) == 0040000 ? 0 : s->st_size);
	}
	flush();
}

static void is(const char *path)
{
	struct stat s;

	shape(path, syscall6(6, P(path), P(&s), 0, 0, 0, 0), &s);
}

static void fis(long fd)
{
	struct stat s;

	shape("fd", syscall6(5, fd, P(&s), 0, 0, 0, 0), &s);
}

static long same(const char *a, const char *b)
{
	struct stat s, t;

	if (syscall6(4, P(a), P(&s), 0, 0, 0, 0) < 0 || syscall6(4, P(b), P(&t), 0, 0, 0, 0) < 0)
		return -1;
	return s.st_ino == t.st_ino && s.st_dev == t.st_dev;
}

static void make(const char *path, const char *content)
{
	word n = 0;
	long fd = open(path, CREAT | TRUNC | WRONLY, 0644);

	while (content[n])
		n++;
	write_(fd, content, n);
	close(fd);
}

/* The names in a directory, sorted. */
static void lists(const char *path)
{
	static char names[64][64];
	long fd = open(path, DIRECTORY, 0), n, at;
	int count = 0, i, j, k;

	while ((n = syscall6(217, fd, P(buffer), 256, 0, 0, 0)) > 0)
		for (at = 0; at < n; at += *(unsigned short *)(buffer + at + 16)) {
			for (k = 0; buffer[at + 19 + k]; k++)
				names[count][k] = buffer[at + 19 + k];
			names[count][k++] = buffer[at + 18] + '0';
			names[count++][k] = 0;
		}
	text(path);
	text(" has");
	for (i = 0; i < count; i++)
		for (j = i + 1; j < count; j++) {
			for (k = 0; names[i][k] && names[i][k] == names[j][k]; k++)
				;
			if (names[i][k] > names[j][k])
				for (k = 0; k < 64; k++) {
					char c = names[i][k];
					names[i][k] = names[j][k];
					names[j][k] = c;
				}
		}
	for (i = 0; i < count; i++) {
		line[used++] = ' ';
		text(names[i]);
	}
	if (n < 0)
		number(n);
	flush();
	close(fd);
}

static void opening(void)
{
	static char longest[258];
	int i;

	S(umask(027));
	S(open("a", RDWR, 0));
	S(open("a", CREAT | RDWR, 0666));
	S(open("a", CREAT | EXCL | RDWR, 0666));
	is("a");
	S(umask(0));
	S(open("b/c", CREAT | RDWR, 0666));
	S(open("a/c", CREAT | RDWR, 0666));
	S(open("a/", RDONLY, 0));
	S(open("a", DIRECTORY, 0));
	S(open(".", RDWR, 0));
	S(open(".", CREAT, 0));
	S(open("new/", CREAT | RDWR, 0666));
	S(open("", CREAT | RDWR, 0666));
	S(open("sticky", CREAT | RDWR, 01777));
	is("sticky");
	for (i = 0; i < 256; i++)
		longest[i] = 'x';
	S(open(longest, CREAT | RDWR, 0666));
	longest[255] = 0;
	S(open(longest, CREAT | RDWR, 0666));
	S(unlink(longest));
	S(open("a", RDONLY | TRUNC, 0));
	S(open("a", OPATH, 0));
	S(read_(7, buffer, 1));
	S(fchmod(7, 0));
	S(ftruncate(7, 0));
	S(close(7));
	for (i = 3; i < 16; i++)
		close(i);
}

static void writing(void)
{
	struct { word base, size; } v[2] = { { P("one"), 3 }, { P("two"), 3 } };
	long fd;

	S(fd = open("w", CREAT | RDWR, 0644));
	S(write_(fd, "hello", 5));
	S(write_(fd, " world", 6));
	S(lseek(fd, 0, CUR));
	S(pwrite(fd, "J", 1, 0));
	S(pwrite(fd, "far", 3, 20));
	holds("w");
	S(lseek(fd, -3, END));
	S(read_(fd, buffer, 10));
	S(read_(fd, buffer, 10));
	S(lseek(fd, 30, SET));
	S(write_(fd, "!", 1));
	S(write_(fd, "", 0));
	holds("w");
	S(ftruncate(fd, 3));
	S(lseek(fd, 0, CUR));
	S(ftruncate(fd, 8));
	holds("w");
	S(ftruncate(fd, -1));
	S(truncate("w", 2));
	S(truncate("none", 2));
	S(truncate(".", 2));
	S(truncate("w", -2));
	holds("w");
	S(syscall6(20, fd, P(v), 2, 0, 0, 0));
	holds("w");
	S(syscall6(296, fd, P(v), 2, 1, 0, 0));
	holds("w");
	S(lseek(fd, 0, CUR));
	S(pwrite(fd, "x", 1, -1));
	S(lseek(fd, -1, SET));
	S(lseek(fd, 0, 9));
	S(close(fd));
	S(fd = open("w", WRONLY | APPEND, 0));
	S(write_(fd, "+", 1));
	S(pwrite(fd, "-", 1, 0));
	S(lseek(fd, 0, CUR));
	S(read_(fd, buffer, 1));
	holds("w");
	S(fcntl(fd, 3, 0));
	S(fcntl(fd, 4, 0));
	S(pwrite(fd, "=", 1, 0));
	S(dup(fd));
	S(lseek(fd, 1, SET));
	S(write_(fd + 1, "D", 1));
	S(lseek(fd, 0, CUR));
	holds("w");
	S(fsync(fd));
	S(fsync(1) < 0);
	S(close(fd));
	S(close(fd + 1));
	S(fd = open("w", RDONLY, 0));
	S(write_(fd, "x", 1));
	S(ftruncate(fd, 0));
	S(fallocate(fd, 0, 0, 1));
	S(close(fd));
}

static void holes(void)
{
	long fd;

	S(fd = open("h", CREAT | RDWR, 0644));
	S(ftruncate(fd, 40000));
	S(pwrite(fd, "x", 1, 8192));
	S(lseek(fd, 0, DATA));
	S(lseek(fd, 8192, HOLE));
	S(lseek(fd, 0, HOLE));
	S(lseek(fd, 16384, DATA));
	S(lseek(fd, 40000, HOLE));
	S(lseek(fd, 39999, HOLE));
	S(lseek(fd, -1, DATA));
	S(fallocate(fd, 0, 40000, 1000));
	fis(fd);
	S(fallocate(fd, 1, 50000, 1000));
	fis(fd);
	S(pwrite(fd, "0123456789", 10, 0));
	S(fallocate(fd, 3, 2, 3));
	S(fallocate(fd, 17, 7, 1));
	S(fallocate(fd, 2, 0, 1));
	S(fallocate(fd, 0, 0, 0));
	S(fallocate(fd, 0, -1, 10));
	S(ftruncate(fd, 12));
	holds("h");
	S(ftruncate(fd, 0));
	S(ftruncate(fd, 5));
	holds("h");
	S(close(fd));
	S(unlink("h"));
}

static void names(void)
{
	long fd;

	make("n", "content");
	S(link("n", "m"));
	is("n");
	S(same("n", "m"));
	S(link("n", "m"));
	S(link("none", "x"));
	S(link(".", "x"));
	S(rename("n", "m"));
	is("n");
	S(unlink("n"));
	is("m");
	S(fd = open("m", RDWR, 0));
	S(unlink("m"));
	S(unlink("m"));
	fis(fd);
	S(pwrite(fd, "C", 1, 0));
	S(pread(fd, buffer, 8, 0));
	S(linkat(fd, "", CWD, "back", EMPTY) < 0);
	S(close(fd));
	S(unlink("."));
	S(unlink("w/"));
	S(unlink("w/x"));
	S(mkdir("d", 0755));
	S(mkdir("d", 0755));
	S(mkdir("d/e/f", 0755));
	S(mkdir("d/e/", 0700));
	is("d/e");
	S(unlink("d"));
	S(unlinkat(CWD, "d", 0));
	S(rmdir("d"));
	S(rmdir("w"));
	S(rmdir("d/e/."));
	S(rmdir("d/e/.."));
	S(rmdir("none"));
	S(unlinkat(CWD, "d/e", REMOVEDIR));
	S(unlinkat(CWD, "w", REMOVEDIR));
	S(unlinkat(CWD, "d", 1));
	S(mknod("r", 0100640, 0));
	is("r");
	S(mknod("r", 0100640, 0));
	S(mknod("r2", 0040000, 0));
#ifndef THROUGH
	S(mknod("p", 0010600, 0));
	is("p");
	S(open("p", WRONLY | NONBLOCK, 0));
	S(fd = open("p", RDONLY | NONBLOCK, 0));
	S(read_(fd, buffer, 10));
	S(open("p", WRONLY, 0));
	S(read_(fd, buffer, 10));
	S(write_(fd + 1, "pipe", 4));
	S(read_(fd, buffer, 10));
	fis(fd);
	S(lseek(fd, 0, CUR));
	S(close(fd + 1));
	S(read_(fd, buffer, 10));
	S(close(fd));
	S(fd = open("p", RDWR, 0));
	S(write_(fd, "both", 4));
	S(read_(fd, buffer, 10));
	S(unlink("p"));
	fis(fd);
	S(close(fd));
#endif
	S(rmdir("d"));
	S(unlink("r"));
	lists(".");
}

static void links(void)
{
	S(symlink("w", "l"));
	S(symlink("x", "l"));
	S(symlink("", "l2"));
	S(readlink("l", 100));
	S(readlink("l", 0));
	S(readlink("w", 100));
	is("l");
	S(same("l", "w"));
	S(open("l", NOFOLLOW, 0));
	S(symlink("loop", "loop"));
	S(open("loop", RDONLY, 0));
	S(open("loop/x", RDONLY, 0));
	S(symlink("made", "dangling"));
	S(open("dangling", RDONLY, 0));
	S(open("dangling", CREAT | EXCL | RDWR, 0644));
	S(access("made", 0));
	S(open("dangling", CREAT | RDWR, 0644));
	S(access("made", 0));
	S(mkdir("dangling", 0755));
	S(unlink("dangling"));
	S(access("made", 0));
	S(close(3));
	S(mkdir("d", 0755));
	S(symlink("d", "dl"));
	S(open("dl/in", CREAT | RDWR, 0644));
	S(close(3));
	lists("d");
	lists("dl");
	S(unlink("dl/"));
	S(rmdir("dl"));
	S(rmdir("dl/") < 0);
	S(open("dl/../w", RDONLY, 0));
	S(close(3));
	S(linkat(CWD, "l", CWD, "l2", 0));
	is("l2");
	S(linkat(CWD, "l", CWD, "l3", FOLLOW));
	is("l3");
	S(truncate("l", 1));
	holds("w");
	S(chmod("l", 0600));
	is("w");
	is("l");
	S(unlink("l2"));
	S(unlink("l3"));
	S(unlink("loop"));
	S(unlink("made"));
	S(unlink("dl"));
	S(unlink("d/in"));
	S(unlink("l"));
}

static void renaming(void)
{
	long fd;

	make("f", "f");
	make("g", "g");
	S(mkdir("x", 0755));
	S(mkdir("y", 0755));
	S(mkdir("x/z", 0755));
	make("x/z/deep", "deep");
	S(rename("f", "g"));
	holds("g");
	is("f");
	S(rename("g", "x"));
	S(rename("x", "g"));
	S(rename("y", "x"));
	S(rename("x", "y"));
	holds("y/z/deep");
	S(rename("y", "y/z/w"));
	S(rename("y/z", "y"));
	S(rename("none", "y"));
	S(rename("g", "g/"));
	S(rename("g/", "h"));
	S(rename("g", "none/h"));
	S(rename(".", "h"));
	S(rename("y", "."));
	S(rename("y/", "q/"));
	S(rename("q/..", "h"));
	S(fd = open("q", DIRECTORY, 0));
	S(openat(fd, "z/deep", RDONLY, 0));
	S(close(fd + 1));
	S(rename("q", "y"));
	S(openat(fd, "z/deep", RDONLY, 0));
	S(close(fd + 1));
	S(openat(fd, "../g", RDONLY, 0));
	S(close(fd + 1));
	S(renameat2(fd, "z/deep", CWD, "g", 1));
	S(renameat2(fd, "z/deep", CWD, "deep", 1));
	S(renameat2(CWD, "deep", CWD, "g", 2));
	holds("deep");
	holds("g");
	S(renameat2(CWD, "deep", CWD, "y", 2));
	is("deep");
	is("y");
	S(renameat2(CWD, "deep", CWD, "none", 2));
	S(renameat2(CWD, "deep", CWD, "deep/z", 2));
	S(renameat2(CWD, "deep", CWD, "none", 3));
	S(renameat2(CWD, "deep", CWD, "none", 16));
	S(fchdir(fd));
	S(access("z", 0));
	S(chdir(".."));
	S(access("y", 0));
	S(close(fd));
	S(chdir("deep/z"));
	S(rmdir("../z"));
	S(open("new", CREAT | RDWR, 0644));
	S(mkdir("new", 0755));
	S(getcwd(4096));
	S(chdir(".."));
	S(chdir("../y"));
	S(chdir("none"));
	S(rmdir("deep"));
	S(unlink("y"));
	S(unlink("g"));
	S(rmdir("d"));
	lists(".");
}

static void unnamed(void)
{
	static char where[32] = "/proc/self/fd/3";
	long fd;

	S(open(".", TMPFILE, 0640));
#ifndef THROUGH
	S(fd = open(".", TMPFILE | RDWR, 0640));
	S(open("w", TMPFILE | RDWR, 0640));
	S(write_(fd, "secret", 6));
	fis(fd);
	S(linkat(CWD, where, CWD, "t", FOLLOW));
	fis(fd);
	holds("t");
	S(close(fd));
	S(fd = open(".", TMPFILE | EXCL | RDWR, 0640));
	S(close(fd));
	S(unlink("t"));
#endif
	S(fd = open("t", CREAT | EXCL | RDWR, 0600));
	S(unlink("t"));
	S(open(where, RDWR, 0));
	S(write_(fd, "x", 1));
	S(read_(fd + 1, buffer, 10));
	S(close(fd));
	S(close(fd + 1));
	S(fd = memfd("name", 3));
	S(write_(fd, "memory", 6));
	fis(fd);
	S(fcntl(fd, 1034, 0));
	S(fcntl(fd, 1033, 4));
	S(ftruncate(fd, 10));
	S(ftruncate(fd, 3));
	S(write_(fd, "y", 1));
	S(fcntl(fd, 1033, 8 | 1));
	S(pwrite(fd, "z", 1, 0));
	S(fcntl(fd, 1033, 2));
	S(fcntl(fd, 1034, 0));
	S(fcntl(fd, 1, 0));
	S(close(fd));
	S(fd = memfd("name", 0));
	S(fcntl(fd, 1034, 0));
	S(close(fd));
	S(memfd("name", 99));
}

static void moving(void)
{
	long a, b, at, to;

	make("s", "0123456789");
	S(a = open("s", RDWR, 0));
	S(b = open("t", CREAT | RDWR, 0644));
	at = 2;
	S(sendfile(b, a, &at, 3));
	S(at);
	S(sendfile(b, a, 0, 4));
	S(lseek(a, 0, CUR));
	S(lseek(b, 0, CUR));
	holds("t");
	S(sendfile(b, a, 0, 100));
	S(sendfile(b, a, 0, 100));
	holds("t");
	at = 1, to = 5;
	S(copy(a, &at, b, &to, 3));
	S(at * 100 + to);
	holds("t");
	at = 0, to = 5;
	S(copy(a, &at, a, &to, 5));
	S(copy(a, &at, a, &to, 6));
	at = 20;
	S(copy(a, &at, b, 0, 6));
	at = -1;
	S(copy(a, &at, b, 0, 6));
	S(close(a));
	S(a = open(".", DIRECTORY, 0));
	S(copy(a, 0, b, 0, 6));
	S(sendfile(b, a, 0, 6) < 0);
	S(read_(a, buffer, 1));
	S(pread(a, buffer, 1, 0));
	S(write_(a, "x", 1));
	S(close(a));
	S(close(b));
	S(unlink("s"));
	S(unlink("t"));
}

static void times(const char *path, int which)
{
	struct stat s;
	long result = syscall6(6, P(path), P(&s), 0, 0, 0, 0);

	text(path);
	if (result < 0)
		number(result);
	if (which & 1) {
		text(" read ");
		number(s.st_atime);
		line[used++] = '.';
		number(s.st_atime_nsec);
	}
	if (which & 2) {
		text(" written ");
		number(s.st_mtime);
		line[used++] = '.';
		number(s.st_mtime_nsec);
	}
	if (which & 4)
		text(s.st_mtime == 3 ? " as set" : s.st_mtime > 1000 ? " now" : " otherwise");
	flush();
}

static void set(const char *path)
{
	long pair[4] = { 1, 2, 3, 4 };

	syscall6(280, CWD, P(path), P(pair), LINKNOFOLLOW, 0, 0);
}

static void attributes(void)
{
	long pair[4] = { 1, 2, 3, 4 }, omit[4] = { 9, (1L << 30) - 2, 10, 11 }, bad[4] = { 1, 1000000000, 3, 4 }, fd;

	make("u", "12345");
	S(mkdir("d", 0755));
	S(syscall6(280, CWD, P("u"), P(pair), 0, 0, 0));
	times("u", 3);
	S(syscall6(280, CWD, P("u"), P(omit), 0, 0, 0));
	times("u", 3);
	S(syscall6(280, CWD, P("u"), P(bad), 0, 0, 0));
	S(syscall6(280, CWD, P("none"), P(pair), 0, 0, 0));
	S(syscall6(280, CWD, 0, P(pair), 0, 0, 0));
	S(syscall6(280, CWD, P("u"), P(pair), 0x8000, 0, 0));
	set("u");
	S(fd = open("u", RDWR, 0));
	times("u", 4);
	S(write_(fd, "x", 1));
	times("u", 4);
	set("u");
	S(ftruncate(fd, 2));
	times("u", 4);
	set("u");
	S(chmod("u", 0600));
	S(link("u", "v"));
	S(rename("v", "v2"));
	times("u", 4);
	S(write_(fd, "", 0));
	times("u", 4);
	S(syscall6(280, fd, 0, 0, 0, 0, 0));
	times("u", 4);
	set("u");
	S(close(open("u", TRUNC | WRONLY, 0)));
	times("u", 4);
	set("d");
	S(access("d/x", 0));
	times("d", 4);
	make("d/x", "");
	times("d", 4);
	set("d");
	S(chmod("d/x", 0));
	make("d/x", "y");
	times("d", 4);
	S(rename("d/x", "d/y"));
	times("d", 4);
	set("d");
	S(link("d/y", "d/x"));
	times("d", 4);
	set("d");
	S(unlink("d/x"));
	times("d", 4);
	set("d");
	S(mkdir("d/z", 0755));
	times("d", 4);
	set("d");
	S(rmdir("d/z"));
	times("d", 4);
	S(chmod("u", 0751));
	S(fchmod(fd, 0));
	is("u");
	S(chmod("none", 0));
	S(fchmod(99, 0));
	S(unlink("u"));
	S(unlink("v2"));
	S(unlink("d/y"));
	S(rmdir("d"));
}

static void locking(void)
{
	struct { short type, whence; int pad; long start, len; int pid, end; } l = { 1, 0, 0, 10, 5, 0, 0 };
	long a, b;

	make("k", "0123456789");
	S(a = open("k", RDWR, 0));
	S(b = open("k", RDONLY, 0));
	S(flock(a, 1));
	S(flock(b, 5));
	S(flock(a, 6));
	S(flock(b, 8));
	S(flock(a, 6));
	S(flock(b, 5));
	S(flock(b, 3));
	S(flock(99, 1));
	S(close(a));
	S(flock(b, 6));
	S(a = open("k", RDWR, 0));
	S(fcntl(a, 6, P(&l)));
	S(fcntl(b, 6, P(&l)));
	S(fcntl(b, 5, P(&l)));
	S(l.type);
	l.type = 1, l.start = 12, l.len = 1, l.pid = 0;
	S(fcntl(b, 36, P(&l)));
	S(l.type * 10000 + l.start * 100 + l.len);
	l.type = 1, l.start = 20, l.len = 0, l.pid = 0;
	S(fcntl(a, 37, P(&l)));
	l.type = 0;
	S(fcntl(b, 37, P(&l)));
	l.start = 2, l.len = -3;
	S(fcntl(b, 37, P(&l)));
	l.whence = 9;
	S(fcntl(b, 37, P(&l)));
	l.whence = 2, l.start = 10, l.len = 1;
	S(fcntl(b, 37, P(&l)));
	S(close(a));
	S(fcntl(b, 37, P(&l)));
	S(close(b));
	S(unlink("k"));
}

static void mapping(void)
{
	char *shared, *private;
	long fd;

	make("mm", "mapped file");
	S(fd = open("mm", RDWR, 0));
	shared = (char *)mmap(8192, 3, 1, fd, 0);
	private = (char *)mmap(4096, 3, 2, fd, 0);
	S((long)shared > 0);
	S((long)private > 0);
	S(pwrite(fd, "M", 1, 0));
	S(shared[0]);
	shared[1] = 'A';
	S(pread(fd, buffer, 3, 0));
	S(buffer[1]);
	private[2] = 'P';
	holds("mm");
	S(shared[2]);
	S(msync((long)shared, 4096, 4));
	shared[3] = 'B';
	shared[4000] = 'Z';
	S(munmap((long)shared, 8192));
	holds("mm");
	fis(fd);
	S(mmap(4096, 3, 1, 99, 0));
	S(close(fd));
	S(fd = open("mm", RDONLY, 0));
	S(mmap(4096, 3, 1, fd, 0));
	shared = (char *)mmap(4096, 1, 1, fd, 0);
	S((long)shared > 0);
	make("mm2", "");
	S(syscall6(10, P(shared), 4096, 3, 0, 0, 0));
	S(close(fd));
	S(fd = open("mm", WRONLY, 0));
	S(mmap(4096, 1, 1, fd, 0));
	S(pwrite(fd, "w", 1, 0));
	S(shared[0]);
	S(munmap((long)shared, 4096));
	S(munmap((long)private, 4096));
	S(close(fd));
	S(unlink("mm"));
	S(unlink("mm2"));
	S(fd = open("mm", CREAT | RDWR, 0644));
	S(ftruncate(fd, 100));
	shared = (char *)mmap(16384, 3, 1, fd, 0);
	S(ftruncate(fd, 8192));
	shared[5000] = 'G';
	S(pread(fd, buffer, 1, 5000));
	S(buffer[0]);
	S(pwrite(fd, "H", 1, 8191));
	S(shared[8191]);
	private = (char *)mmap(4096, 3, 1, fd, 4096);
	S(private[5000 - 4096]);
	shared[4097] = 'I';
	private[2] = 'J';
	S(pread(fd, buffer, 3, 4096));
	S(buffer[1]);
	S(buffer[2]);
	S(private[1]);
	S(shared[4098]);
	S(ftruncate(fd, 4098));
	S(ftruncate(fd, 8192));
	S(shared[4097]);
	S(private[2]);
	S(pread(fd, buffer, 1, 5000));
	S(buffer[0]);
	S(fallocate(fd, 3, 4096, 2));
	S(shared[4097]);
	private[3] = 'K';
	S(close(fd));
	S(munmap((long)private, 4096));
	S(shared[4099]);
	S(munmap((long)shared, 16384));
	S(fd = open("mm", RDONLY, 0));
	S(pread(fd, buffer, 1, 4099));
	S(buffer[0]);
	S(close(fd));
	S(unlink("mm"));
}

static void limits(void)
{
	long limit[2] = { 10, 10 }, action[4] = { 1, 0, 0, 0 }, fd;

	S(syscall6(13, 25, P(action), 0, 8, 0, 0)); /* SIGXFSZ is ignored */
	S(fd = open("z", CREAT | RDWR, 0644));
	S(syscall6(160, 1, P(limit), 0, 0, 0, 0));
	S(write_(fd, "012345678", 9));
	S(write_(fd, "9abc", 4));
	S(write_(fd, "x", 1));
	S(pwrite(fd, "x", 1, 100));
	S(ftruncate(fd, 11));
	S(ftruncate(fd, 4));
	S(fallocate(fd, 0, 8, 8));
	S(truncate("z", 12));
	holds("z");
	S(close(fd));
	S(unlink("z"));
}

static void described(void)
{
	struct statx x;
	long how[3] = { CREAT | RDWR, 0600, 0 }, d;

	make("q", "12345");
	S(syscall6(332, CWD, P("q"), 0, 0x7ff, P(&x), 0));
	S(x.stx_size);
	S(x.stx_mode);
	S(x.stx_nlink);
	S((x.stx_mask & 0x7ff) == 0x7ff);
	S(syscall6(332, CWD, P("none"), 0, 0x7ff, P(&x), 0));
	S(syscall6(332, CWD, P(""), 0, 0x7ff, P(&x), 0));
	S(syscall6(332, CWD, P("q"), 0x6000, 0x7ff, P(&x), 0));
	S(access("q", 0));
	S(access("q", 4));
	S(access("q", 8));
	S(access("none", 0));
	S(access("q/x", 0));
	S(mkdir("d", 0755));
	S(symlink("../q", "d/up"));
	S(symlink("/", "d/root"));
	S(d = open("d", DIRECTORY, 0));
	S(syscall6(437, d, P("in"), P(how), 24, 0, 0));
	S(close(d + 1));
	how[0] = how[1] = 0;
	how[2] = 8;
	S(syscall6(437, d, P("up"), P(how), 24, 0, 0));
	S(syscall6(437, d, P("root"), P(how), 24, 0, 0));
	S(syscall6(437, d, P("../q"), P(how), 24, 0, 0));
	S(syscall6(437, d, P("/"), P(how), 24, 0, 0));
	S(syscall6(437, d, P("./in"), P(how), 24, 0, 0));
	S(close(d + 1));
	how[2] = 4;
	S(syscall6(437, d, P("up"), P(how), 24, 0, 0));
	how[2] = 16;
	S(syscall6(437, d, P("/in"), P(how), 24, 0, 0));
	S(close(d + 1));
	S(syscall6(437, d, P("root/in"), P(how), 24, 0, 0));
	S(close(d + 1));
	S(syscall6(437, d, P("up"), P(how), 24, 0, 0));
	how[2] = 24;
	S(syscall6(437, d, P("in"), P(how), 24, 0, 0));
	how[2] = 0, how[1] = 0600;
	S(syscall6(437, d, P("in"), P(how), 24, 0, 0));
	S(syscall6(437, d, P("in"), P(how), 23, 0, 0));
	S(close(d));
	S(unlink("d/in"));
	S(unlink("d/up"));
	S(unlink("d/root"));
	S(rmdir("d"));
	S(unlink("q"));
}

static void run(void)
{
	opening();
	writing();
	holes();
	names();
	links();
	renaming();
	unnamed();
	moving();
	attributes();
	locking();
	mapping();
	described();
	limits();
	lists(".");
}
