/* Jumps to where no address can be: the fault is the jump's, natively, and nothing of it was done.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static char stack[1 << 16] __attribute__((aligned(4096)));
static char *const top = stack + (1 << 15);
static volatile long where;

static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	printf(" signal %d code %d address %p trap %ld error %ld", number, info->si_code, info->si_addr, (long)regs[REG_TRAPNO],
	       (long)regs[REG_ERR]);
	if (regs[REG_RIP] == where)
		printf(" there");
	else
		printf(" at %+ld", (long)(regs[REG_RIP] - regs[REG_R12]));
	printf(" rsp %+ld, rbx %lld\n", (long)(regs[REG_RSP] - (long)top), regs[REG_RBX]);
	siglongjmp(back, 1);
}

#define TRY(instruction) \
	printf("%s:", instruction); \
	*(long *)top = where; \
	if (!sigsetjmp(back, 1)) \
		__asm__ volatile("mov %0, %%rsp\n lea 1f(%%rip), %%r12\n xor %%ebx, %%ebx\n inc %%ebx\n 1: " instruction "\n ud2" \
				 : : "r"(top), "a"(where), "D"(&where) : "memory", "rbx", "r12");

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	static char other[1 << 16];
	stack_t s = {.ss_sp = other, .ss_size = sizeof other};
	static const long places[] = {1L << 63, 1L << 47, 0x123456789abcdef0, (-1L << 47) - 1, /* and what are addresses: */
				      (1L << 47) - 1, -1L << 47, 0};

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaltstack(&s, NULL);
	for (int number = 4; number <= 11; number++)
		if (number != 9 && number != 6)
			sigaction(number, &action, NULL);
	for (int i = 0; i < sizeof places / sizeof *places; i++) {
		where = places[i];
		printf("%lx\n", where);
		TRY("ret") TRY("ret $16") TRY("inc %%ebx; ret") TRY("rep ret")
		TRY("jmp *%%rax") TRY("jmp *(%%rdi)") TRY("call *%%rax") TRY("call *(%%rdi)")
		TRY("push %%rax; inc %%ebx; ret") TRY("cmp %%rax, %%rax; jz 2f; ud2; 2: jmp *%%rax") TRY("call 2f; 2: ret $8")
	}
	_exit(0);
}
