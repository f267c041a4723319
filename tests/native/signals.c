/* Signals: frames, masks, alternate stacks, faults, waiting, timers; see start.h for how it is built.
 *
 * Prints a line for what is seen at each step, without addresses, so that the lines are the same on every kernel.
 */

#pragma GCC diagnostic ignored "-Wunused-function"
#include "start.h"

enum { SIGACTION = 13, PROCMASK = 14, SIGRETURN = 15, PAUSE = 34, NANOSLEEP = 35, ALARM = 37, SETITIMER = 38, GETPID = 39,
       MMAP = 9, MPROTECT = 10, PENDING = 127, TIMEDWAIT = 128, QUEUE = 129, SUSPEND = 130, ALTSTACK = 131, TKILL = 200,
       READ = 0, PIPE = 22, WRITE = 1, KILL = 62, TIMER_CREATE = 222, TIMER_SETTIME = 223, OVERRUN = 225, TIMER_DELETE = 226 };
enum { ILL = 4, TRAP = 5, BUS = 7, FPE = 8, USR1 = 10, SEGV = 11, USR2 = 12, PIPESIG = 13, ALRM = 14, PROF = 27, RT = 40 };
#define SIGINFO 0x4UL
#define RESTORER 0x04000000UL
#define ONSTACK 0x08000000UL
#define RESTART 0x10000000UL
#define NODEFER 0x40000000UL
#define RESETHAND 0x80000000UL

struct action { void (*handler)(int, int *, word *); word flags; void (*restorer)(void); word mask; };
struct stack { word sp; int flags; word size; };

__asm__(".text\nrestorer: movl $15, %eax\nsyscall\n");
extern void restorer(void);

static volatile int seen, nested, what;
static volatile word touched;
static char alternate[16384] __attribute__((aligned(16)));
static volatile double kept;

static void say(const char *name, word a, word b, word c)
{
	text(name);
	text(" ");
	number(a);
	text(" ");
	number(b);
	text(" ");
	number(c);
	flush();
}

static long sys(long nr, word a, word b, word c, word d)
{
	return syscall6(nr, a, b, c, d, 0, 0);
}

static void act(int signum, void (*handler)(int, int *, word *), word flags, word mask)
{
	struct action action = { handler, flags | RESTORER, restorer, mask };

	sys(SIGACTION, signum, (word)&action, 0, 8);
}

static word mask_now(void)
{
	word mask = 0;

	sys(PROCMASK, 0, 0, (word)&mask, 8);
	return mask;
}

static void set_mask(word mask)
{
	sys(PROCMASK, 2, (word)&mask, 0, 8);
}

static void raise(int signum)
{
	sys(TKILL, sys(186, 0, 0, 0, 0), signum, 0, 0);
}

/* The words of a ucontext: flags, link, stack (3), then r8 to r15, rdi rsi rbp rbx rdx rax rcx rsp rip rflags, segments,
 * err, trapno, oldmask, cr2, fpstate; at 37 the mask. */
enum { RBX = 16, RDX = 17, RAX = 18, RSP = 20, RIP = 21, SEGMENTS = 23, ERR = 24, TRAPNO = 25, OLDMASK = 26, CR2 = 27, FP = 28 };

static void note(int signum, int *info, word *context)
{
	seen++;
	say("handler", signum, info[0], info[2]);
	say(" sender", info[4] == sys(GETPID, 0, 0, 0, 0), info[1], *(word *)(info + 6));
	say(" masks", mask_now(), context[37], context[OLDMASK]);
	say(" context", context[0] & 6, context[1], context[SEGMENTS] & 0xffff);
	say(" aligned", (word)__builtin_frame_address(0) & 15, context[FP] & 63, context[FP] > (word)context);
}

static void masks(void)
{
	act(USR1, note, SIGINFO, 1UL << (USR2 - 1));
	act(USR2, note, SIGINFO | NODEFER, 0);
	raise(USR1);
	raise(USR2);
	set_mask(1UL << (USR1 - 1));
	raise(USR1);
	raise(USR1);
	sys(KILL, sys(GETPID, 0, 0, 0, 0), USR1, 0, 0);
	word pending = 0;
	sys(PENDING, (word)&pending, 8, 0, 0);
	say("pending", pending, seen, 0);
	set_mask(0);
	say("delivered", seen, mask_now(), 0);
}

static void inner(int signum, int *info, word *context)
{
	(void)context;
	nested++;
	say("nested", signum, info[2], nested);
	if (signum == USR1 && nested < 3)
		raise(USR1);
	say("leaves", signum, nested, mask_now());
}

static void nesting(void)
{
	act(USR1, inner, SIGINFO | NODEFER, 0);
	raise(USR1);
	act(USR1, inner, SIGINFO | RESETHAND, 0);
	nested = 5;
	raise(USR1);
	struct action left;
	sys(SIGACTION, USR1, 0, (word)&left, 8);
	say("reset", (word)left.handler, left.flags & ~RESTORER, left.mask);
	act(USR1, inner, SIGINFO, 0);
	act(USR2, inner, SIGINFO, 0);
	set_mask(1UL << (USR1 - 1) | 1UL << (USR2 - 1));
	raise(USR2);
	raise(USR1);
	set_mask(0);	/* both at once: the one with the lower number is pushed first, and runs last */
}

static void realtime(void)
{
	int info[32] = { 0 };
	long i, got;
	word set = 1UL << (RT - 1);

	set_mask(set);
	for (i = 0; i < 3; i++) {
		info[2] = -1;
		info[6] = 100 + i;
		say("queue", sys(QUEUE, sys(GETPID, 0, 0, 0, 0), RT, (word)info, 0), i, 0);
	}
	word no_time[2] = { 0, 0 };
	for (i = 0; i < 4; i++) {
		info[6] = 0;
		got = sys(TIMEDWAIT, (word)&set, (word)info, (word)no_time, 8);
		say("took", got, info[2], info[6]);
	}
	word little[2] = { 0, 2000000 };
	say("timed out", sys(TIMEDWAIT, (word)&set, 0, (word)little, 8), 0, 0);
	set_mask(0);
}

static void on_alternate(int signum, int *info, word *context)
{
	word here = (word)__builtin_frame_address(0), base = (word)alternate;
	struct stack now;

	(void)info;
	sys(ALTSTACK, 0, (word)&now, 0, 0);
	say("stack", signum, here > base && here <= base + sizeof alternate, now.flags);
	say(" saved", context[2] == base, context[3] & 0xffffffff, context[4]);
	say(" below", context[FP] - here < 2048, sys(ALTSTACK, (word)&now, 0, 0, 0), 0);
}

static void stacks(void)
{
	struct stack stack = { (word)alternate, 0, sizeof alternate };

	say("set", sys(ALTSTACK, (word)&stack, 0, 0, 0), 0, 0);
	act(USR1, on_alternate, SIGINFO | ONSTACK, 0);
	raise(USR1);
	act(USR1, on_alternate, SIGINFO, 0);
	raise(USR1);
	stack.flags = 1 << 31;	/* SS_AUTODISARM */
	say("set", sys(ALTSTACK, (word)&stack, 0, 0, 0), 0, 0);
	act(USR1, on_alternate, SIGINFO | ONSTACK, 0);
	raise(USR1);
	raise(USR1);
	struct stack now;
	sys(ALTSTACK, 0, (word)&now, 0, 0);
	say("armed again", now.sp == (word)alternate, now.flags & 0xffffffffUL, now.size);
}

static void faulted(int signum, int *info, word *context)
{
	word rip = context[RIP], addr = *(word *)(info + 4);

	say("fault", signum, info[2], context[TRAPNO]);
	say(" error", context[ERR], addr == touched, addr == rip);
	if (signum == SEGV && info[2] != 0x80)
		say(" cr2", context[CR2] == addr, info[1], 0);
	context[RIP] = context[RBX];	/* where to go on */
	context[RDX] = 0x1234;
}

#define GUARDED(instruction, operand) do { \
	word result; \
	__asm__ volatile("leaq 1f(%%rip), %%rbx\n" instruction "\n1:" : "=d"(result) : "a"(operand), "d"(0UL), "c"(0UL) \
			 : "rbx", "memory", "cc"); \
	say("went on", result, 0, 0); \
} while (0)

static void faults(void)
{
	static const int kinds[] = { ILL, TRAP, BUS, FPE, SEGV };
	word page = sys(MMAP, 0, 8192, 3, 0x22);
	unsigned i;

	page = syscall6(MMAP, 0, 8192, 3, 0x22, -1UL, 0);
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		act(kinds[i], faulted, SIGINFO | ONSTACK, 0);
	touched = 0x10;
	GUARDED("movq (%%rax), %%rdx", touched);
	GUARDED("movq %%rdx, (%%rax)", touched);
	sys(MPROTECT, page, 4096, 1, 0);
	touched = page;
	GUARDED("movq (%%rax), %%rdx\nmovq %%rdx, (%%rax)", page);
	sys(MPROTECT, page, 4096, 0, 0);
	GUARDED("movq (%%rax), %%rdx", page);
	touched = page + 4096;
	GUARDED("jmp *%%rax", touched);
	touched = 0x8000000000000000UL;
	GUARDED("movq (%%rax), %%rdx", touched);
	GUARDED("hlt", 0);
	GUARDED("ud2", 0);
	GUARDED("divq %%rcx", 1UL);
	GUARDED("int3\nnop", 0);
	set_mask(1UL << (USR1 - 1));
	GUARDED("ud2", 0);	/* the mask of the frame is put back */
	say("mask", mask_now(), 0, 0);
	set_mask(0);
}

static void with_floats(int signum, int *info, word *context)
{
	unsigned short *fp = (unsigned short *)context[FP];
	unsigned mxcsr, *wide = (unsigned *)context[FP];
	word low, *xmm = (word *)(context[FP] + 160);
	unsigned short control;

	(void)info;
	__asm__ volatile("stmxcsr %0\nmovq %%xmm7, %1\nfnstcw %2" : "=m"(mxcsr), "=r"(low), "=m"(control));
	say("fp", signum, mxcsr, low);
	say(" x87", control, fp[0], fp[2]);
	say(" saved", wide[6], xmm[14], xmm[15]);
	say(" st0", *(word *)(context[FP] + 32), *(word *)(context[FP] + 48), fp[1] & 0x3800);
	xmm[14] = 0x5555;
	wide[6] = 0x5f80;
	*(word *)(context[FP] + 32) = 0x8000000000000000UL;
}

static void floats(void)
{
	word values[2] = { 0x1111222233334444UL, 0x5555666677778888UL }, after[2];
	unsigned mxcsr = 0x3f80, mxcsr_after;
	double one = 0, two = 0;

	act(USR1, with_floats, SIGINFO, 0);
	__asm__ volatile("movdqu %5, %%xmm7\nldmxcsr %4\nfldpi\nfld1\nfld1\nfaddp\n"
			 "movl $39, %%eax\nsyscall\nmovl %%eax, %%edi\nmovl $10, %%esi\nmovl $62, %%eax\nsyscall\n"
			 "movdqu %%xmm7, %0\nstmxcsr %1\nfstpl %2\nfstpl %3"
			 : "=m"(after), "=m"(mxcsr_after), "=m"(one), "=m"(two) : "m"(mxcsr), "m"(values)
			 : "rax", "rcx", "r11", "rdi", "rsi", "xmm7", "memory");
	say("after", after[0], after[1], mxcsr_after);
	say("stack", *(word *)&one, *(word *)&two, 0);
	mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static int ends[2];

static void writes(int signum, int *info, word *context)
{
	(void)info;
	(void)context;
	seen++;
	if (signum == ALRM && what)
		sys(WRITE, ends[1], (word)"x", 1, 0);
}

static void restarts(void)
{
	word timer[4] = { 0, 0, 0, 3000 }, second[2] = { 0, 30000000 }, left[2] = { 7, 7 };
	char byte = 0;
	word none = 0;

	sys(PIPE, (word)ends, 0, 0, 0);
	act(ALRM, writes, SIGINFO, 0);
	seen = what = 0;
	sys(SETITIMER, 0, (word)timer, 0, 0);
	say("read", sys(READ, ends[0], (word)&byte, 1, 0), seen, byte);
	act(ALRM, writes, SIGINFO | RESTART, 0);
	what = 1;
	sys(SETITIMER, 0, (word)timer, 0, 0);
	say("read again", sys(READ, ends[0], (word)&byte, 1, 0), seen, byte);
	what = 0;
	sys(SETITIMER, 0, (word)timer, 0, 0);
	say("sleep", sys(NANOSLEEP, (word)second, (word)left, 0, 0), seen, left[0] == 0 && left[1] > 1000000 && left[1] < 28000000);
	sys(SETITIMER, 0, (word)timer, 0, 0);
	say("pause", sys(PAUSE, 0, 0, 0, 0), seen, 0);
	set_mask(1UL << (ALRM - 1));
	raise(ALRM);
	say("suspend", sys(SUSPEND, (word)&none, 8, 0, 0), seen, mask_now());
	sys(SETITIMER, 0, (word)timer, 0, 0);
	say("suspend", sys(SUSPEND, (word)&none, 8, 0, 0), seen, mask_now());
	set_mask(0);
	sys(3, ends[0], 0, 0, 0);
	act(PIPESIG, note, SIGINFO, 0);
	say("write", sys(WRITE, ends[1], (word)"x", 1, 0), 0, 0);
	say("alarm", sys(ALARM, 100, 0, 0, 0), sys(ALARM, 50, 0, 0, 0), sys(ALARM, 0, 0, 0, 0));
}

static void ticked(int signum, int *info, word *context)
{
	(void)context;
	seen++;
	if (seen == 1)
		say("tick", signum, info[2], info[6]);
}

static void timers(void)
{
	word prof[4] = { 0, 5000, 0, 5000 }, off[4] = { 0, 0, 0, 0 };
	struct { word value; int signum, notify, tid, rest[11]; } event = { 77, RT, 4, sys(186, 0, 0, 0, 0), { 0 } };
	word spec[4] = { 0, 1000000, 0, 1000000 }, zero[4] = { 0, 0, 0, 0 };
	int id = -1, i;
	volatile word spin = 0;

	act(PROF, ticked, SIGINFO, 0);
	seen = 0;
	sys(SETITIMER, 2, (word)prof, 0, 0);
	while (seen < 5)
		spin++;
	sys(SETITIMER, 2, (word)off, 0, 0);
	say("profiled", seen >= 5, 0, 0);
	for (i = 1; i < 4; i += 2) {	/* CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID */
		act(RT, ticked, SIGINFO, 0);
		seen = 0;
		say("create", sys(TIMER_CREATE, i, (word)&event, (word)&id, 0), id, 0);
		say("start", sys(TIMER_SETTIME, id, 0, (word)spec, 0), 0, 0);
		while (seen < 5)
			spin++;
		say("stop", sys(TIMER_SETTIME, id, 0, (word)zero, 0), seen >= 5, 0);
		say("delete", sys(TIMER_DELETE, id, 0, 0, 0), sys(TIMER_DELETE, id, 0, 0, 0), 0);
	}
}

static void run(void)
{
	masks();
	nesting();
	realtime();
	stacks();
	faults();
	floats();
	restarts();
	timers();
}
