/* Random code that ends at a page's end or somewhat behind it, with a second page that can be executed or not; its faults
 * are told with all registers that it uses, and it goes on behind them.
 *
 * Built with: gcc -static -O1 -w, and the C library, for programs FROM to FROM + COUNT.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, STACK = 1 << 16, LONGEST = 400, MOST_FAULTS = 7 };
static char *const first = (char *)0x100000000000, *const second = (char *)0x100000000000 + PAGE;
static char *const stack = (char *)0x300000000000;
static sigjmp_buf back;
static volatile long memory[8];
static char *starts[LONGEST];
static int n_starts, faults, maps;
static unsigned long seed;

static unsigned random_below(unsigned n)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % n;
}

/* rdi: memory; rsi: 0; the last ones fault, or come to nothing good. */
static const struct { int size; char code[12]; } PIECES[] = {
	{1, {0x90}},
	{3, {0x48, 0xff, 0xc0}},                                     /* inc rax */
	{4, {0xf0, 0x48, 0xff, 0x07}},                               /* lock inc qword [rdi] */
	{3, {0x48, 0x01, 0xc2}},                                     /* add rdx, rax */
	{3, {0x48, 0x8b, 0x07}},                                     /* mov rax, [rdi] */
	{4, {0x48, 0x89, 0x47, 0x08}},                               /* mov [rdi + 8], rax */
	{10, {0x49, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}},                  /* movabs r8 */
	{7, {0x48, 0x81, 0xc2, 4, 3, 2, 1}},                         /* add rdx, 0x01020304 */
	{5, {0xb8, 1, 2, 3, 4}},                                     /* mov eax, 0x04030201 */
	{2, {0x01, 0xd0}},                                           /* add eax, edx */
	{4, {0x48, 0x0f, 0xaf, 0xc2}},                               /* imul rax, rdx */
	{3, {0x48, 0xf7, 0xd8}},                                     /* neg rax */
	{2, {0x74, 0}},                                              /* jz, to what follows */
	{2, {0xeb, 0}},
	{2, {0x50, 0x58}},                                           /* push rax; pop rax */
	{4, {0x0f, 0x10, 0x07, 0x90}},                               /* movups xmm0, [rdi]; nop */
	{4, {0x66, 0x0f, 0xef, 0xc0}},                               /* pxor xmm0, xmm0 */
	{9, {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},                /* nop */
	{11, {0x66, 0x2e, 0x48, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},   /* nop */
	{3, {0x48, 0x8b, 0x16}},                                     /* mov rdx, [rsi] */
	{3, {0x48, 0xf7, 0xf1}},                                     /* div rcx */
	{2, {0x0f, 0x0b}},                                           /* ud2 */
	{1, {0xcc}},                                                 /* int3 */
	{4, {0xf3, 0x0f, 0x1e, 0xfa}},                               /* endbr64 */
	{3, {0x80, 0x07, 0x05}},                                     /* add byte [rdi], 5 */
	{5, {0x48, 0xc1, 0x67, 0x10, 0x03}},                         /* shl qword [rdi + 16], 3 */
	{6, {0x0f, 0x84, 0, 0, 0, 0}},                               /* jz */
	{5, {0xe8, 0, 0, 0, 0}},                                     /* call what follows */
	{1, {0x58}},                                                 /* pop rax */
	{1, {0xf4}},                                                 /* hlt */
	{2, {0xe2, 0}},                                              /* loop */
	{2, {0x9c, 0x9d}},                                           /* pushf; popf */
};
enum { N_PIECES = sizeof PIECES / sizeof *PIECES, HARMLESS = 19 };

static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	char *pc = (char *)regs[REG_RIP];

	printf(" %d/%d %lx rip %p err %lx rax %lx rdx %lx rcx %lx r8 %lx rsp %lx memory %lx %lx %lx carry %d\n", number, info->si_code,
	       number == SIGTRAP ? 0 : (long)info->si_addr, pc, (long)regs[REG_ERR], (long)regs[REG_RAX], (long)regs[REG_RDX],
	       (long)regs[REG_RCX], (long)regs[REG_R8], (long)regs[REG_RSP], memory[0], memory[1], memory[2], (int)regs[REG_EFL] & 1);
	if (++faults == MOST_FAULTS)
		siglongjmp(back, 1);
	if ((char *)info->si_addr == second) {
		if (!maps)
			siglongjmp(back, 1);
		maps = 0;
		mprotect(second, PAGE, PROT_READ | PROT_EXEC);
	} else if (number != SIGTRAP) {
		for (int i = 0; i < n_starts; i++)
			if (starts[i] > pc && pc >= first && pc < second) {
				regs[REG_RIP] = (long)starts[i];
				return;
			}
		siglongjmp(back, 1);
	}
}

/* Writes a program, and returns where it begins. */
static char *write_program(void)
{
	char code[LONGEST + 12], *end = second + random_below(12);
	int size = 0, wanted = 20 + random_below(300);

	mprotect(first, 2 * PAGE, PROT_READ | PROT_WRITE);
	memset(first, 0xcc, 2 * PAGE);
	for (n_starts = 0; size < wanted; n_starts++) {
		int i = random_below(random_below(4) ? HARMLESS : N_PIECES);
		starts[n_starts] = (char *)(long)size;
		memcpy(code + size, PIECES[i].code, PIECES[i].size);
		size += PIECES[i].size;
	}
	for (int i = 0; i < n_starts; i++)
		starts[i] += (long)(end - size);
	memcpy(end - size, code, size);
	*end = 0xc3;
	return end - size;
}

static void run(char *begin)
{
	long rax = 100, rdx = 0, rcx = 0, rsi = 0;
	volatile long *rdi = memory;

	faults = 0;
	if (sigsetjmp(back, 1))
		return;
	__asm__ volatile("mov %%rsp, %%r15\n mov %6, %%rsp\n xor %%r8d, %%r8d\n call *%5\n mov %%r15, %%rsp"
			 : "+a"(rax), "+d"(rdx), "+c"(rcx), "+D"(rdi), "+S"(rsi)
			 : "r"(begin), "r"(stack + STACK / 2)
			 : "r8", "r15", "memory", "cc", "xmm0");
	printf(" back: rax %lx, rdx %lx\n", rax, rdx);
}

int main(void)
{
	static char other[1 << 16];
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t signals = {.ss_sp = other, .ss_size = sizeof other};

	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	sigaltstack(&signals, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	mmap(stack, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(first, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int number = FROM; number < FROM + COUNT; number++) {
		seed = number * 7919;
		mmap(second, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		char *begin = write_program();
		int kind = random_below(5);
		maps = random_below(2);
		mprotect(first, PAGE, PROT_READ | PROT_EXEC);
		if (kind == 2)
			munmap(second, PAGE);
		else
			mprotect(second, PAGE, (const int[]){PROT_READ | PROT_EXEC, PROT_NONE, 0, PROT_READ, PROT_READ | PROT_WRITE}[kind]);
		memset((void *)memory, 0, sizeof memory);
		printf("%d: %d %d\n", number, kind, maps);
		run(begin);
		run(begin);
	}
	return 0;
}
