/* What a program sees of the terminal that it runs in, and how it reads lines and keys from it.
 *
 * Built with: gcc -static -O1 -w, and the C library.  The test types what the prompts ask for.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static volatile int interrupts, resizes;

static void on_signal(int number)
{
	if (number == SIGINT)
		interrupts++;
	else
		resizes++;
}

static void show_bytes(const char *what, int fd, int size)
{
	unsigned char data[64];
	int count = read(fd, data, size);

	printf("%s: %d %s", what, count, count < 0 ? strerror(errno) : "");
	for (int n = 0; n < count; n++)
		printf(" %02x", data[n]);
	printf("\n");
	fflush(stdout);
}

static void show_settings(int fd)
{
	struct termios now;

	printf("tcgetattr %d: ", fd);
	if (tcgetattr(fd, &now)) {
		printf("%s\n", strerror(errno));
		return;
	}
	printf("%o %o %o %o speed %o, characters", now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag, cfgetospeed(&now));
	for (int n = 0; n < 17; n++)
		printf(" %x", now.c_cc[n]);
	printf("\n");
}

static void set(int least, int tenths, tcflag_t without)
{
	static struct termios before;
	struct termios now;

	if (!before.c_cflag)
		tcgetattr(0, &before);
	now = before;
	now.c_lflag &= ~without;
	if (least >= 0) {
		now.c_cc[VMIN] = least;
		now.c_cc[VTIME] = tenths;
	}
	printf("tcsetattr: %d\n", tcsetattr(0, TCSADRAIN, &now));
	fflush(stdout);
}

static void prompt(const char *text)
{
	printf("%s? ", text);
	fflush(stdout);
}

int main(void)
{
	struct winsize size;
	struct stat about, link;
	struct sigaction action = {.sa_handler = on_signal};
	char name[64] = "";
	struct pollfd one = {.fd = 0, .events = POLLIN};

	for (int fd = 0; fd < 3; fd++) {
		fstat(fd, &about);
		printf("%d: isatty %d, mode %o, rdev %d, ", fd, isatty(fd), about.st_mode & S_IFMT, major(about.st_rdev));
		printf("flags %o, ", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
		printf("seek %ld", lseek(fd, 0, SEEK_CUR));
		printf(" %s\n", strerror(errno));
	}
	char path[] = "/proc/self/fd/0";
	name[readlink(path, name, sizeof name - 1)] = 0;
	printf("link %.9s, ttyname is it: %d, ", name, ttyname(0) && !strcmp(ttyname(0), name));
	printf("stat %d", stat(name, &link));
	printf(" same %d\n", link.st_ino == about.st_ino && link.st_rdev == about.st_rdev);
	for (int fd = 0; fd < 3; fd++) {
		memset(&size, 0, sizeof size);
		printf("TIOCGWINSZ %d: %d", fd, ioctl(fd, TIOCGWINSZ, &size));
		printf(" %d %d\n", size.ws_row, size.ws_col);
		show_settings(fd);
	}
	printf("group %d, session %d\n", tcgetpgrp(0) == getpgrp(), tcgetsid(0) == getsid(0));
	printf("TCSBRK 1: %d, TIOCOUTQ: ", ioctl(1, TCSBRK, 1));
	int left = -1;
	printf("%d", ioctl(1, TIOCOUTQ, &left));
	printf(" %d\n", left);
	printf("an ioctl of blocks: %d", ioctl(0, 0x1261, &left));
	printf(" %s\n", strerror(errno));
	int tty = open("/dev/tty", O_RDWR);
	printf("/dev/tty: isatty %d\n", isatty(tty));
	write(tty, "to the terminal\n", 16);
	printf("tcsetpgrp to nobody: %d", tcsetpgrp(0, 29999));
	printf(" %s\n", strerror(errno));

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGWINCH, &action, NULL);
	size.ws_row = 44;
	size.ws_col = 55;
	printf("TIOCSWINSZ: %d", ioctl(0, TIOCSWINSZ, &size));
	printf(" resized %d", resizes);
	printf(" again %d", ioctl(0, TIOCSWINSZ, &size));
	printf(" resized %d\n", resizes);

	prompt("a line");
	show_bytes("line", 0, 64);
	prompt("a long line");
	show_bytes("its beginning", 0, 4);
	show_bytes("its end", 0, 64);
	prompt("Ctrl-D");
	show_bytes("end", 0, 64);
	prompt("the line after it");
	show_bytes("line", 0, 64);
	prompt("Ctrl-C");
	show_bytes("interrupted", 0, 64);
	printf("handled %d\n", interrupts);

	prompt("a line, without waiting");
	long polls = 0;
	while (!poll(&one, 1, 0))
		polls++;
	printf("polled more than once: %d\n", polls > 1);
	show_bytes("line", 0, 64);
	fcntl(0, F_SETFL, O_NONBLOCK);
	show_bytes("nothing", 0, 64);
	prompt("a line, not blocking");
	polls = 0;
	while (read(0, name, sizeof name) < 0)
		polls++;
	printf("%.4s\n", name);
	fcntl(0, F_SETFL, 0);

	set(1, 0, ICANON | ECHO | ISIG | IEXTEN);
	prompt("Ctrl-C as a key");
	show_bytes("key", 0, 64);
	set(3, 0, ICANON | ECHO);
	prompt("three keys");
	show_bytes("keys", 0, 64);
	set(0, 0, ICANON | ECHO);
	show_bytes("no key", 0, 64);
	set(0, 1, ICANON | ECHO);
	show_bytes("no key in a tenth", 0, 64);
	set(9, 2, ICANON | ECHO);
	prompt("two keys");
	show_bytes("keys, then nothing", 0, 64);
	show_settings(0);
	set(-1, 0, 0);
	printf("flushed %d\n", tcflush(0, TCIFLUSH));

	signal(SIGTTOU, SIG_DFL);
	int child = fork();
	if (!child) {
		setpgid(0, 0);
		show_bytes("in the background", 0, 64);
		_exit(7);
	}
	setpgid(child, child);
	int status = 0;
	printf("stopped: %d", waitpid(child, &status, WUNTRACED) == child);
	printf(" %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status) == SIGTTIN);
	printf("tcsetpgrp: %d", tcsetpgrp(0, child));
	printf(" it is: %d\n", tcgetpgrp(0) == child);
	prompt("a line for the child");
	kill(child, SIGCONT);
	waitpid(child, &status, 0);
	signal(SIGTTOU, SIG_IGN);
	printf("back: %d, ended with %d\n", tcsetpgrp(0, getpgrp()), WEXITSTATUS(status));
	if (!fork()) {
		printf("setsid %d", setsid() == getpid());
		printf(" /dev/tty %d", open("/dev/tty", O_RDWR));
		printf(" %s", strerror(errno));
		printf(" group %d", tcgetpgrp(0));
		printf(" %s\n", strerror(errno));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	prompt("Ctrl-C at last");
	signal(SIGINT, SIG_DFL);
	set(-1, 0, ECHO);
	show_bytes("not reached", 0, 64);
}
