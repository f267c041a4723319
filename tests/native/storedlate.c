/* When a file was changed that is stored into by a mapping: what is told later does not depend on who looks meanwhile.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	struct stat found;
	int fd = memfd_create("file", 0);
	char *at;

	ftruncate(fd, 4096);
	at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	at[0] = 'x';
	for (int i = 0; i < 10; i++)
		getppid();
	fsync(fd);
	fstat(fd, &found);
	printf("%ld.%09ld\n", found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
	return 0;
}
