/* Faults of instructions that read, that write, and that do both to one place: what a handler is told, by what is there.
 *
 * Built with: gcc -static -O1 -w, and the C library.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static char *place;

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	printf(" signal %d code %d address %+ld error %#lx\n", number, info->si_code, (char *)info->si_addr - place,
	       (long)at->uc_mcontext.gregs[REG_ERR]);
	siglongjmp(back, 1);
}

/* All with the place in rdi and rsi. */
#define TRY(instruction) \
	printf("%s: %s:", where, instruction); \
	if (!sigsetjmp(back, 1)) { \
		__asm__ volatile(instruction : : "D"(place), "S"(place), "a"(0L), "d"(0L), "b"(0L), "c"(0L) \
				 : "memory", "cc", "r8", "xmm0"); \
		printf(" done\n"); \
	}

static void try_all(const char *where)
{
	TRY("mov (%%rdi), %%rax") TRY("cmp %%rax, (%%rdi)") TRY("cmpb $1, (%%rdi)") TRY("cmpl $1000, (%%rdi)") TRY("test %%al, (%%rdi)")
	TRY("testl $1, (%%rdi)") TRY("add (%%rdi), %%rax") TRY("imul (%%rdi), %%rax") TRY("mulq (%%rdi)") TRY("bt %%rax, (%%rdi)")
	TRY("btl $1, (%%rdi)") TRY("lodsb") TRY("scasb") TRY("cmpsb") TRY("movups (%%rdi), %%xmm0") TRY("fldl (%%rdi)")
	TRY("movzbl (%%rdi), %%eax") TRY("cmovz (%%rdi), %%rax") TRY("bsf (%%rdi), %%rax") TRY("prefetcht0 (%%rdi)")
	TRY("mov %%rax, (%%rdi)") TRY("movb $1, (%%rdi)") TRY("movq $1, (%%rdi)") TRY("setz (%%rdi)") TRY("stosb")
	TRY("movups %%xmm0, (%%rdi)") TRY("movsb") TRY("fnstcw (%%rdi)") TRY("movnti %%rax, (%%rdi)")
	TRY("add %%al, (%%rdi)") TRY("or %%eax, (%%rdi)") TRY("adc %%ax, (%%rdi)") TRY("sbb %%rax, (%%rdi)") TRY("and %%al, 8(%%rdi)")
	TRY("sub %%rax, (%%rdi)") TRY("xor %%eax, (%%rdi, %%rax, 8)") TRY("addb $1, (%%rdi)") TRY("orl $1, (%%rdi)") TRY("adcl $1000, (%%rdi)")
	TRY("sbbq $1, (%%rdi)") TRY("andw $1000, (%%rdi)") TRY("subq $1000, 100(%%rdi)") TRY("xorb $1, (%%rdi)") TRY("incb (%%rdi)")
	TRY("incq (%%rdi)") TRY("decl (%%rdi)") TRY("notq (%%rdi)") TRY("negb (%%rdi)") TRY("lock addl $0, (%%rdi)")
	TRY("lock incq (%%rdi)") TRY("lock xor %%al, (%%rdi)") TRY("xchg %%al, (%%rdi)") TRY("xchg %%rax, (%%rdi)")
	TRY("shlb (%%rdi)") TRY("sarq (%%rdi)") TRY("roll $3, (%%rdi)") TRY("rcrb $3, (%%rdi)") TRY("shrl %%cl, (%%rdi)") TRY("rclb %%cl, (%%rdi)")
	TRY("shld $2, %%rdx, (%%rdi)") TRY("shrd %%cl, %%edx, (%%rdi)")
	TRY("bts %%rdx, (%%rdi)") TRY("btr %%edx, (%%rdi)") TRY("lock btc %%rdx, (%%rdi)") TRY("btsl $3, (%%rdi)") TRY("btrq $3, (%%rdi)")
	TRY("btcw $3, (%%rdi)") TRY("cmpxchg %%dl, (%%rdi)") TRY("lock cmpxchg %%rdx, (%%rdi)") TRY("xadd %%al, (%%rdi)")
	TRY("lock xadd %%rax, (%%rdi)") TRY("cmpxchg8b (%%rdi)") TRY("lock cmpxchg8b (%%rdi)") TRY("lock cmpxchg16b (%%rdi)")
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	int file = memfd_create("file", 0);

	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	ftruncate(file, PAGE);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	place = (char *)0x100000000000;
	try_all("nothing");
	mmap(place, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	try_all("memory");
	mprotect(place, PAGE, PROT_READ);
	try_all("to be read");
	mprotect(place, PAGE, PROT_NONE);
	try_all("not accessible");
	mmap(place, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, PAGE);
	try_all("behind a file, to be read");
	mmap(place, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, PAGE);
	try_all("behind a file");
	place = (char *)0x7ffffffff000;
	try_all("behind all that can be mapped");
	place = (char *)0xffff800000000000;
	try_all("the kernel's");
	return 0;
}
