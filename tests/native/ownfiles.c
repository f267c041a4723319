/* What a program's own files of /proc say before and after it runs another in its place: each time what is so then. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void look(const char *name, int show)
{
	char path[64], bytes[4096];
	int size, fd;

	sprintf(path, "/proc/self/%s", name);
	fd = open(path, O_RDONLY);
	size = read(fd, bytes, sizeof bytes);
	close(fd);
	for (int i = 0; i < size; i++)
		if (!bytes[i])
			bytes[i] = '|';
	if (show)
		printf("%s: %.*s\n", name, size, bytes);
}

static void look_at_link(void)
{
	char path[4096];
	int size = readlink("/proc/self/exe", path, sizeof path), at = size;

	while (at && path[at - 1] != '/')
		at--;
	printf("exe: %.*s\n", size - at, path + at);
}

int main(int argc, char **argv)
{
	static char *const next[][4] = { { "one", "two" }, { "one", "two", "three" }, { "x" } };
	static char *const env[][3] = { { "A=B" }, { "CC=DD", "E=F" }, { 0 } };
	int round = argc > 1 ? argc == 2 ? 1 : 2 : 0;

	setvbuf(stdout, 0, _IONBF, 0);
	if (argv[0][0] == 'x')
		round = 3;
	for (int again = 0; again < 2; again++) { /* that a test calls the first one by a path of its own is not shown */
		look("cmdline", round);
		look("environ", round);
		look("comm", round);
		look_at_link();
	}
	if (round < 3)
		execve("/proc/self/exe", next[round], env[round]);
	return 0;
}
