/* Code that is written while it must not be executed, and executed while it must not be written, by turns: what runs is what
 * was written last.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
static sigjmp_buf back;

static void on_fault(int number) { siglongjmp(back, number); }

static void put(char *at, const char *code, int size)
{
	mprotect(at, PAGE, PROT_READ | PROT_WRITE);
	memset(at, 0x90, PAGE);
	memcpy(at + 100, code, size);
	mprotect(at, PAGE, PROT_READ | PROT_EXEC);
}

static int ask(char *at)
{
	int number = sigsetjmp(back, 1);

	return number ? -number : ((int (*)(void))(at + 100))();
}

#define ASK(...) (put(at, (char[]){__VA_ARGS__}, sizeof((char[]){__VA_ARGS__})), printf(" %d", ask(at)))
#define ANSWER(value) ASK((char)0xb8, value, 0, 0, 0, (char)0xc3) /* mov eax, value; ret */

static void by_turns(const char *what, char *at)
{
	printf("%s:", what);
	ANSWER(1);
	ANSWER(2);
	ASK((char)0xb8, 2, 0, 0, 0, 0x0f, 0x0b); /* ud2 */
	ANSWER(3);
	ASK(0x31, (char)0xff, (char)0xf7, (char)0xf7); /* xor edi, edi; div edi */
	ANSWER(4);
	ASK(0x31, (char)0xff, (char)0x8b, 0x07); /* mov eax, [rdi] */
	ANSWER(5);
	ASK((char)0xf4); /* hlt */
	ANSWER(6);
	printf("\n");
}

int main(void)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	signal(SIGILL, on_fault);
	signal(SIGFPE, on_fault);
	signal(SIGSEGV, on_fault);
	by_turns("private", at);
	by_turns("its last page", at + 3 * PAGE);
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	by_turns("shared", at);
	fflush(stdout);
	if (!fork()) {
		by_turns("a child's", at);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	by_turns("the parent's", at);
	return 0;
}
