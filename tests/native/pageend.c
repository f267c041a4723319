/* Code that runs on to the end of its page, behind which nothing can be executed: what has run by the time of the fault, and
 * what the fault's handler is told.
 *
 * Built with: gcc -static -O1 -w, and the C library.  With -DALONE=n it only runs n instructions up to a page's end, and dies.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096 };
static char *const first = (char *)0x100000000000, *const second = (char *)0x100000000000 + PAGE; /* nowhere near brk */
static sigjmp_buf back;
static void (*go_on)(ucontext_t *); /* in place of leaving the code at the next fault */
static volatile long count[2];

#define BYTES(...) (char[]){__VA_ARGS__}, sizeof((char[]){__VA_ARGS__})
#define INC_RAX 0x48, (char)0xff, (char)0xc0 /* 3 bytes */
#define INC_COUNT (char)0xf0, 0x48, (char)0xff, 0x07 /* lock inc qword [rdi]: 4 bytes */

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	greg_t *regs = at->uc_mcontext.gregs;

	printf("  signal %d code %d address %+ld: rip %+ld, trap %ld, error %#lx, cr2 %+ld, rax %ld, rdx %ld, counts %ld %ld, flags %#lx\n",
	       number, info->si_code, (char *)info->si_addr - second, (char *)regs[REG_RIP] - second, (long)regs[REG_TRAPNO],
	       (long)regs[REG_ERR], (char *)regs[REG_CR2] - second, (long)regs[REG_RAX], (long)regs[REG_RDX], count[0], count[1],
	       (long)regs[REG_EFL] & 0xcd5);
	if (!go_on)
		siglongjmp(back, 1);
	go_on(at);
	go_on = NULL;
}

static void map(char *at, int prot)
{
	if (mmap(at, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		_exit(1);
}

/* The first page: no-operations, then *code*, of which *behind* bytes lie in the second page if that is there. */
static char *put(const char *code, int size, int behind)
{
	char *start = second + behind - size;

	mprotect(first, PAGE, PROT_READ | PROT_WRITE);
	memset(first, 0x90, PAGE);
	memcpy(start, code, size - behind);
	if (behind) {
		mprotect(second, PAGE, PROT_READ | PROT_WRITE);
		memcpy(second, code + size - behind, behind);
	}
	mprotect(first, PAGE, PROT_READ | PROT_EXEC);
	return start;
}

static void run(const char *what, char *from)
{
	long rax = 100, rdx = 0;

	printf("%s\n", what);
	count[0] = count[1] = 0;
	if (sigsetjmp(back, 1))
		return;
	__asm__ volatile("call *%4"
			 : "+a"(rax), "+d"(rdx)
			 : "D"(count), "S"(0L), "r"(from)
			 : "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
	printf("  back: rax %ld, rdx %ld, counts %ld %ld\n", rax, rdx, count[0], count[1]);
}

static void map_second(ucontext_t *at)
{
	map(second, PROT_READ | PROT_WRITE);
	memcpy(second, BYTES(INC_RAX, INC_RAX, (char)0xc3));
	mprotect(second, PAGE, PROT_READ | PROT_EXEC);
}

static void allow_second(ucontext_t *at) { mprotect(second, PAGE, PROT_READ | PROT_EXEC); }

static void skip_three(ucontext_t *at) { at->uc_mcontext.gregs[REG_RIP] += 3; }

static void skip_three_and_map(ucontext_t *at)
{
	skip_three(at);
	map_second(at);
}

static void without_second(void)
{
	char *all = put(BYTES(INC_RAX, INC_COUNT, INC_RAX, INC_COUNT), 0), *start;

	run("all of it", all);
	run("from its second instruction", all + 3);
	run("its last instruction", all + 10);
	run("from the page's beginning", first);
	run("from 63, 64, 65 before its end", second - 14 - 59);
	run("", second - 14 - 60);
	run("", second - 14 - 61);
	run("from the next page", second);
	/* a fault before the end: load rdx of 0 */
	start = put(BYTES(INC_RAX, 0x48, (char)0x8b, 0x16, INC_RAX, INC_COUNT), 0);
	run("a load that faults before", start);
	go_on = skip_three;
	run("a load that faults before, and is skipped", start);
	start = put(BYTES(INC_RAX, 0x48, (char)0xf7, (char)0xf2, INC_COUNT), 0); /* div rdx */
	run("a division by zero before", start);
	go_on = skip_three;
	run("a division by zero before that is skipped", start);
	start = put(BYTES(INC_RAX, 0x0f, 0x0b, INC_RAX), 0);
	run("an undefined instruction before", start);
	start = put(BYTES(INC_RAX, INC_COUNT, (char)0xc3), 0);
	run("a return at the end", start);
	start = put(BYTES(INC_RAX, (char)0xeb, (char)0x01, INC_RAX, INC_COUNT), 0);
	run("a jump into an instruction", start);
	start = put(BYTES(INC_RAX, 0x74, (char)0x80), 0); /* jz */
	run("a jump not taken at the end", start);
	start = put(BYTES((char)0xb8, 39, 0, 0, 0, 0x0f, 0x05, (char)0x31, (char)0xc0), 0); /* getpid; xor eax, eax */
	run("a system call before", start);
	start = put(BYTES((char)0xb9, 3, 0, 0, 0, (char)0xf3, (char)0xaa, INC_RAX), 0); /* rep stosb over counts */
	run("a repeated instruction before", start);
	start = put(BYTES(INC_RAX, (char)0xb9, 3, 0, 0, 0, (char)0xf3, (char)0xaa), 0);
	run("a repeated instruction at the end", start);
	start = put(BYTES((char)0xb9, 5, 0, 0, 0, INC_COUNT, INC_RAX, (char)0xe2, (char)-9), 0); /* mov ecx, 5; ..; loop */
	run("a loop that ends there", start);
	/* an instruction of which no more than a part is there */
	const char movabs[] = {0x49, (char)0xb8, 1, 2, 3, 4, 5, 6, 7, 8}; /* to r8 */
	const char prefixed[] = {0x66, 0x2e, 0x48, (char)0x0f, 0x1f, (char)0x84, 0, 1, 2, 3, 4}; /* nop */
	for (int there = 1; there < 10; there++) {
		char code[32] = {INC_RAX, INC_COUNT, INC_RAX};
		memcpy(code + 10, movabs, there);
		run(there == 1 ? "a part of an instruction" : "", put(code, 10 + there, 0));
		memcpy(code + 10, prefixed, there);
		run("", put(code, 10 + there, 0));
	}
	char alone[10];
	memcpy(alone, movabs, 9);
	run("that part alone", put(alone, 9, 0));
}

static void come_and_go(void)
{
	char *start = put(BYTES(INC_RAX, INC_COUNT, INC_RAX), 0);

	go_on = map_second;
	run("mapped by the handler", start);
	run("there from the start", start);
	mprotect(second, PAGE, PROT_NONE);
	run("not accessible any more", start);
	run("once more", start);
	go_on = allow_second;
	run("made accessible by the handler", start);
	mprotect(second, PAGE, PROT_READ | PROT_WRITE);
	run("not executable", start);
	go_on = allow_second;
	run("made executable by the handler", start);
	for (int i = 0; i < 4; i++) {
		if (i % 2)
			mprotect(second, PAGE, PROT_NONE);
		else
			allow_second(NULL);
		run("by turns", start);
	}
	allow_second(NULL);
	/* inc rax; add rdx, 0x01020304 over the border; ret */
	for (int behind = 1; behind < 8; behind++) {
		start = put(BYTES(INC_RAX, 0x48, (char)0x81, (char)0xc2, 4, 3, 2, 1, (char)0xc3), behind);
		mprotect(second, PAGE, PROT_NONE);
		run("over the border", start);
		go_on = allow_second;
		run("over the border, made accessible by the handler", start);
		run("over the border, accessible", start);
		mprotect(second, PAGE, PROT_READ);
		run("over the border, not executable", start);
	}
	start = put(BYTES(INC_RAX, 0x0f, 0x0b), 1);
	run("an undefined instruction over the border, not executable", start);
	allow_second(NULL);
	run("an undefined instruction over the border", start);
	start = put(BYTES(INC_RAX, 0x48, (char)0x8b, 0x16, INC_RAX, INC_COUNT), 0);
	munmap(second, PAGE);
	go_on = skip_three_and_map;
	run("mapped by the handler of a fault before", start);
	munmap(second, PAGE);
	run("gone", start);
}

static void beyond_a_file(void)
{
	int file = memfd_create("code", 0);
	char *start;

	if (ftruncate(file, PAGE))
		_exit(1);
	start = put(BYTES(INC_RAX, INC_COUNT, INC_RAX), 0);
	pwrite(file, first, PAGE, 0);
	mmap(first, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0);
	run("a file's end", start);
	munmap(second, PAGE);
	mmap(second, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0); /* 90 90 ..: falls off again, ... */
	run("two pages, behind which is nothing", start);
	munmap(second, PAGE);
}

/* A mapping that gets its pages when they are touched: code runs on into such a page. */
static void large(void)
{
	enum { LARGE = 64 << 20, SLICE = 2 << 20 };
	char *at = mmap((char *)0x200000000000, LARGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	char *end = at + 2 * SLICE;

	/* movabs rax, first over the border */
	memcpy(end - 18, BYTES(INC_RAX, INC_COUNT, INC_RAX, 0x48, (char)0xb8, 0, 0, 0, 0, 0, 0x10));
	go_on = skip_three; /* 00 00, 00 ..: add [rax], al */
	run("pages that come when they are touched", end - 18);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	setvbuf(stdout, NULL, _IONBF, 0);
	map(first, PROT_READ | PROT_WRITE);
#ifdef ALONE
	((void (*)(void))(put("", 0, 0) - ALONE))();
#endif
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	without_second();
	come_and_go();
	beyond_a_file();
	large();
	map(first, PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
	run("nobody handles it", put(BYTES(INC_RAX, INC_COUNT, INC_RAX), 0));
}
