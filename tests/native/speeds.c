/* The settings of a terminal with its speeds, as TCGETS2 shows them after TCSETS, TCSETS2 and their like.
 *
 * Built with: gcc -static -O1 -w, and the C library, whose own struct termios is another.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int ioctl(int, unsigned long, ...);

static struct termios2 now;

static void show(const char *what)
{
	struct termios old;

	memset(&now, 0xee, sizeof now);
	printf("%s: TCGETS2 %d", what, ioctl(0, TCGETS2, &now));
	printf(" %o %o %o %o line %d", now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag, now.c_line);
	for (int i = 0; i < 19; i++)
		printf(" %x", now.c_cc[i]);
	printf(", speeds %u %u", now.c_ispeed, now.c_ospeed);
	printf(", TCGETS %d", ioctl(0, TCGETS, &old));
	printf(" the same %d\n", !memcmp(&old, &now, sizeof old));
}

static void set(unsigned long request, const char *name, unsigned modes, unsigned in, unsigned out)
{
	struct termios2 wanted = now;

	wanted.c_cflag = modes;
	wanted.c_ispeed = in;
	wanted.c_ospeed = out;
	wanted.c_cc[VMIN]++;
	printf("%s %o %u %u: %d, ", name, modes, in, out, ioctl(0, request, &wanted));
	show("then");
}

#define SET(request, modes, in, out) set(request, #request, modes, in, out)
#define EIGHT (CS8 | CREAD)

int main(void)
{
	show("at first");
	SET(TCSETS2, EIGHT | BOTHER, 12345, 54321);
	SET(TCSETSW2, EIGHT | BOTHER | BOTHER << IBSHIFT, 12345, 54321);
	SET(TCSETS2, EIGHT | BOTHER | BOTHER << IBSHIFT, 0, 300);
	SET(TCSETSF2, EIGHT | B38400, 7, 8);
	for (int code = 0; code < 16; code++) {
		SET(TCSETS2, EIGHT | code, 7, 8);
		SET(TCSETS2, EIGHT | CBAUDEX | code, 7, 8);
	}
	SET(TCSETS2, EIGHT | B57600 | B9600 << IBSHIFT, 7, 8);
	SET(TCSETS2, EIGHT | BOTHER | B9600 << IBSHIFT, 777, 888);
	SET(TCSETS2, B9600 | CS5 | PARENB | PARODD | CSTOPB, 7, 8);
	SET(TCSETS2, EIGHT | BOTHER, 1, 4000000000u);
	SET(TCSETS, EIGHT | BOTHER, 5, 6);
	SET(TCSETSW, EIGHT | B9600, 5, 6);
	SET(TCSETS, EIGHT | BOTHER, 5, 6);
	SET(TCSETSF, B38400 | CS7 | PARENB, 5, 6);
	printf("bad pointers: %d", ioctl(0, TCGETS2, 8));
	printf(" %s, ", strerror(errno));
	printf("%d", ioctl(0, TCSETS2, 8));
	printf(" %s\n", strerror(errno));
	return 0;
}
