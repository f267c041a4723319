/* What the small programs of this folder share: an entry point without a C library, system calls, and printing.
 *
 * Built with: gcc -static -O1 -nostdlib -fno-stack-protector -fcf-protection=none
 *
 * Every line of output is one step: a call by number with its arguments and result ("call 9 0x.. .. = 0x.."), a byte stored
 * ("poke ADDR BYTE") or loaded ("peek ADDR = BYTE").  Addresses are printed relative to what the kernel chose: "brk+0x10" to
 * the initial break, "map-0x1000" to the first mapping without a hint.  So the output is the same on every kernel, and a
 * test can replay it.
 */

typedef unsigned long word;

static char line[512];
static unsigned used;
static word initial_break, first_map;

static long syscall6(long nr, word a, word b, word c, word d, word e, word f)
{
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	register word r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static void text(const char *s)
{
	while (*s)
		line[used++] = *s++;
}

static void hex(word value)
{
	int shift = 60;

	text("0x");
	while (shift > 0 && !(value >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		line[used++] = "0123456789abcdef"[value >> shift & 15];
}

static void relative(const char *name, word value, word base)
{
	text(name);
	line[used++] = value < base ? '-' : '+';
	hex(value < base ? base - value : value - base);
}

#define NEAR 0x100000UL

static void number(word value)
{
	if ((long)value < 0 && (long)value > -4096) {
		line[used++] = '-';
		hex(-value);
	} else
		hex(value);
}

static void address(word value)
{
	if (initial_break && value - (initial_break - NEAR) < 2 * NEAR)
		relative("brk", value, initial_break);
	else if (first_map && value - (first_map - NEAR) < 2 * NEAR)
		relative("map", value, first_map);
	else
		number(value);
}

/* Whether argument i of the call is an address: the first always, new_addr of mremap, vec of mincore. */
static int is_address(long nr, int i)
{
	return i == 0 || (nr == 25 && i == 4) || (nr == 27 && i == 2);
}

static void flush(void)
{
	line[used++] = '\n';
	syscall6(1, 1, (word)line, used, 0, 0, 0);
	used = 0;
}

/* Make a system call, print it, and return its result. */
static long call(long nr, word a, word b, word c, word d, word e, word f)
{
	long result = syscall6(nr, a, b, c, d, e, f);
	word args[6];
	int i;

	args[0] = a, args[1] = b, args[2] = c, args[3] = d, args[4] = e, args[5] = f;
	if (nr == 12 && !initial_break)
		initial_break = result;
	if (nr == 9 && !a && !first_map)
		first_map = result;
	text("call ");
	hex(nr);
	for (i = 0; i < 6; i++) {
		line[used++] = ' ';
		if (is_address(nr, i))
			address(args[i]);
		else
			number(args[i]);
	}
	text(" = ");
	address(result);
	flush();
	return result;
}

static void poke(word addr, unsigned char byte)
{
	*(volatile unsigned char *)addr = byte;
	text("poke ");
	address(addr);
	line[used++] = ' ';
	hex(byte);
	flush();
}

static void peek(word addr)
{
	unsigned char byte = *(volatile unsigned char *)addr;

	text("peek ");
	address(addr);
	text(" = ");
	hex(byte);
	flush();
}

static void run(void);

void _start(void)
{
	__asm__ volatile("andq $-16, %rsp");
	run();
	syscall6(231, 0, 0, 0, 0, 0, 0);
	__builtin_trap();
}
