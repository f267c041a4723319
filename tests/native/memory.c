/* mmap, munmap, mprotect, mremap, madvise, mincore and brk at their edges; see start.h for how it is built and read. */

#include "start.h"

enum { MMAP = 9, MPROTECT = 10, MUNMAP = 11, BRK = 12, MREMAP = 25, MSYNC = 26, MINCORE = 27, MADVISE = 28 };
enum { NONE = 0, R = 1, RW = 3, RX = 5 };
enum { SHARED = 0x1, PRIVATE = 0x2, FIXED = 0x10, ANON = 0x20, NORESERVE = 0x4000, NOREPLACE = 0x100000 };

#define PAGE 4096UL
#define PA (PRIVATE | ANON)
#define BASE 0x20000000000UL /* far from everything */
#define FAR 0x30000000000UL
#define TOP 0x7ffffffff000UL
#define NOFD (-1UL)

static word map(word addr, word size, int prot, int flags)
{
	return call(MMAP, addr, size, prot, flags, NOFD, 0);
}

static void placing(void)
{
	word first = map(0, 64 * PAGE, RW, PA);

	map(0, PAGE, RW, PA);			       /* below the first */
	map(0, 3 * PAGE + 1, R, PA);		       /* rounded up */
	call(MUNMAP, first - PAGE, PAGE, 0, 0, 0, 0);  /* a hole of one page */
	map(0, 2 * PAGE, RW, PA);		       /* does not fit into it */
	map(0, PAGE, RW, PA);			       /* fits */
	map(BASE, PAGE, RW, PA);		       /* a free hint */
	map(BASE, PAGE, RW, PA);		       /* a taken one */
	map(BASE + 2 * PAGE + 123, PAGE, RW, PA);      /* hints are rounded down */
	map(BASE + PAGE, 2 * PAGE, RW, PA);	       /* a hint that fits only in part */
	map(TOP, PAGE, RW, PA);			       /* a hint beyond user space */
	map(TOP - PAGE, 2 * PAGE, RW, PA);	       /* ... or across its end */
	map(0, 0, RW, PA);			       /* EINVAL */
	map(0, -1UL, RW, PA);			       /* ENOMEM */
	map(0, TOP + PAGE, RW, PA | NORESERVE);	       /* ENOMEM */
	map(FAR, 1UL << 40, NONE, PA | NORESERVE);     /* a terabyte of nothing */
	map(0, PAGE, RW, ANON);			       /* neither shared nor private */
	map(0, PAGE, RW, ANON | SHARED | PRIVATE);     /* MAP_SHARED_VALIDATE without a file */
	map(0, PAGE, RW, PRIVATE);		       /* EBADF */
	call(MMAP, 0, PAGE, RW, PA, NOFD, 123);	       /* an offset that is no page's */
	map(0, PAGE, RW, SHARED | ANON);
}

static void fixed(void)
{
	word at = BASE + 0x100000;

	map(at, 4 * PAGE, RW, PA | FIXED);
	poke(at + PAGE, 7);
	map(at + PAGE, PAGE, RW, PA | FIXED);		  /* replaces: zero again */
	peek(at + PAGE);
	map(at + 1, PAGE, RW, PA | FIXED);		  /* EINVAL */
	map(at, PAGE, RW, PA | NOREPLACE);		  /* EEXIST */
	map(at + 3 * PAGE, 2 * PAGE, RW, PA | NOREPLACE); /* EEXIST */
	map(at + 4 * PAGE, PAGE, RW, PA | NOREPLACE);
	map(at + 8 * PAGE + 5, PAGE, RW, PA | NOREPLACE); /* EINVAL */
	map(TOP, PAGE, RW, PA | FIXED);			  /* ENOMEM */
	map(TOP - PAGE, 2 * PAGE, RW, PA | FIXED);	  /* ENOMEM */
}

static void unmapping(void)
{
	word at = BASE + 0x200000;

	map(at, 5 * PAGE, RW, PA | FIXED);
	poke(at, 1);
	poke(at + 4 * PAGE, 5);
	call(MUNMAP, at + 2 * PAGE, PAGE, 0, 0, 0, 0);
	call(MUNMAP, at + 2 * PAGE, PAGE, 0, 0, 0, 0); /* a hole is no error */
	peek(at);
	peek(at + 4 * PAGE);
	call(MUNMAP, at + 1, PAGE, 0, 0, 0, 0);	   /* EINVAL */
	call(MUNMAP, at, 0, 0, 0, 0, 0);	   /* EINVAL */
	call(MUNMAP, at, -1UL, 0, 0, 0, 0);	   /* EINVAL */
	call(MUNMAP, TOP, PAGE, 0, 0, 0, 0);	   /* EINVAL */
	call(MUNMAP, at, 1, 0, 0, 0, 0);	   /* a whole page */
	call(MUNMAP, at, 0x100000, 0, 0, 0, 0);	   /* with holes */
}

static void protecting(void)
{
	word at = BASE + 0x300000;

	map(at, 6 * PAGE, RW, PA | FIXED);
	poke(at, 9);
	call(MPROTECT, at, PAGE, R, 0, 0, 0);
	peek(at);
	call(MPROTECT, at, PAGE, NONE, 0, 0, 0);
	call(MPROTECT, at, PAGE, RW, 0, 0, 0);
	peek(at); /* contents stay */
	call(MPROTECT, at + 1, PAGE, R, 0, 0, 0);		       /* EINVAL */
	call(MPROTECT, at, 0, R, 0, 0, 0);			       /* nothing to do */
	call(MPROTECT, at + 1, 0, R, 0, 0, 0);			       /* EINVAL all the same */
	call(MPROTECT, at, PAGE, 0x10, 0, 0, 0);		       /* EINVAL */
	call(MPROTECT, at, PAGE, 0x3000001, 0, 0, 0);		       /* EINVAL: grows both ways */
	call(MPROTECT, at, PAGE, 0x1000001, 0, 0, 0);		       /* EINVAL: does not grow */
	call(MUNMAP, at + 2 * PAGE, PAGE, 0, 0, 0, 0);
	call(MPROTECT, at, 4 * PAGE, R, 0, 0, 0);		       /* ENOMEM, the part before the hole is done */
	call(MPROTECT, at + 2 * PAGE, PAGE, R, 0, 0, 0);	       /* ENOMEM */
	call(MPROTECT, at, -1UL, R, 0, 0, 0);
	call(MPROTECT, at + 3 * PAGE, 3 * PAGE, RX, 0, 0, 0);
	call(MPROTECT, FAR + (1UL << 31), PAGE, RW, 0, 0, 0); /* a page of a reservation */
	poke(FAR + (1UL << 31), 3);
}

static void advising(void)
{
	static const int known[] = { 0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 };
	static const int unknown[] = { 5, 6, 7, 99, -1 };
	word at = BASE + 0x400000;
	unsigned i;

	map(at, 4 * PAGE, RW, PA | FIXED);
	poke(at, 1);
	poke(at + PAGE, 2);
	call(MADVISE, at, PAGE, 4, 0, 0, 0); /* DONTNEED: zero again */
	peek(at);
	peek(at + PAGE);
	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		call(MADVISE, at + 2 * PAGE, PAGE, known[i], 0, 0, 0);
	for (i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		call(MADVISE, at + 2 * PAGE, PAGE, unknown[i], 0, 0, 0);
	call(MADVISE, at + 1, PAGE, 4, 0, 0, 0);    /* EINVAL */
	call(MADVISE, at, 0, 4, 0, 0, 0);	    /* nothing */
	call(MADVISE, at, 0, 99, 0, 0, 0);	    /* EINVAL all the same */
	call(MADVISE, at, -1UL, 4, 0, 0, 0);	    /* EINVAL: wraps */
	poke(at, 1);
	poke(at + 3 * PAGE, 4);
	call(MUNMAP, at + 2 * PAGE, PAGE, 0, 0, 0, 0);
	call(MADVISE, at, 4 * PAGE, 4, 0, 0, 0);    /* ENOMEM, both sides of the hole are done */
	peek(at);
	peek(at + 3 * PAGE);
	call(MADVISE, at, 4 * PAGE, 14, 0, 0, 0);   /* ENOMEM */
	call(MPROTECT, at, PAGE, R, 0, 0, 0);
	call(MADVISE, at, PAGE, 22, 0, 0, 0);	    /* POPULATE_READ */
	call(MADVISE, at, PAGE, 23, 0, 0, 0);	    /* POPULATE_WRITE: not writable */
	map(at + 8 * PAGE, PAGE, RW, SHARED | ANON | FIXED);
	poke(at + 8 * PAGE, 5);
	call(MADVISE, at + 8 * PAGE, PAGE, 8, 0, 0, 0);	 /* FREE: private only */
	call(MADVISE, at + 8 * PAGE, PAGE, 18, 0, 0, 0); /* WIPEONFORK: private only */
	call(MADVISE, at + 8 * PAGE, PAGE, 9, 0, 0, 0);	 /* REMOVE */
	peek(at + 8 * PAGE);
}

static void moving(void)
{
	word at = BASE + 0x500000;

	map(at, 4 * PAGE, RW, PA | FIXED);
	poke(at, 1);
	poke(at + 3 * PAGE, 4);
	call(MREMAP, at, 4 * PAGE, 2 * PAGE, 0, 0, 0); /* shrink */
	call(MREMAP, at, 2 * PAGE, 4 * PAGE, 0, 0, 0); /* grow in place */
	peek(at);
	peek(at + 3 * PAGE); /* the new pages are zero */
	map(at + 4 * PAGE, PAGE, R, PA | FIXED);
	call(MREMAP, at, 4 * PAGE, 6 * PAGE, 0, 0, 0);			      /* ENOMEM: no room, may not move */
	call(MREMAP, at, 4 * PAGE, 6 * PAGE, 3, at + 0x20000, 0);	      /* move to a place */
	peek(at + 0x20000);
	call(MREMAP, at + 0x20000, PAGE, PAGE, 2, at, 0);		      /* EINVAL: FIXED without MAYMOVE */
	call(MREMAP, at + 0x20000, PAGE, 0, 0, 0, 0);			      /* EINVAL */
	call(MREMAP, at + 0x20001, PAGE, PAGE, 0, 0, 0);		      /* EINVAL */
	call(MREMAP, at + 0x20000, PAGE, PAGE, 8, 0, 0);		      /* EINVAL */
	call(MREMAP, at + 0x80000, PAGE, 2 * PAGE, 1, 0, 0);		      /* EFAULT */
	call(MREMAP, at + 0x20000, 2 * PAGE, PAGE, 3, at + 0x20000 + PAGE, 0); /* EINVAL: overlaps */
	call(MREMAP, at + 0x20000, 8 * PAGE, 9 * PAGE, 1, 0, 0);	      /* EFAULT: longer than the mapping */
	call(MREMAP, at + 0x20000, 0, PAGE, 1, 0, 0);			      /* EINVAL: private */
	call(MREMAP, at + 0x20000, PAGE, PAGE, 5, at + 0x40000, 0);	      /* DONTUNMAP */
	peek(at + 0x20000);
	peek(at + 0x40000);
	call(MREMAP, at + 0x20000, PAGE, 2 * PAGE, 5, at + 0x60000, 0);	      /* EINVAL: sizes differ */
}

static void asking(void)
{
	word at = BASE + 0x600000, vec = BASE + 0x700000;

	map(vec, PAGE, RW, PA | FIXED);
	map(at, 4 * PAGE, RW, PA | FIXED);
	poke(at + PAGE, 1);
	poke(vec + 4, 0xaa);
	call(MINCORE, at, 4 * PAGE, vec, 0, 0, 0);
	peek(vec);
	peek(vec + 1);
	peek(vec + 2);
	peek(vec + 4);
	call(MINCORE, at + 1, PAGE, vec, 0, 0, 0);     /* EINVAL */
	call(MINCORE, at, 0, vec, 0, 0, 0);	       /* nothing */
	call(MINCORE, at, 5 * PAGE, vec, 0, 0, 0);     /* ENOMEM */
	call(MINCORE, at + 4 * PAGE, 1, vec, 0, 0, 0); /* ENOMEM */
	call(MINCORE, TOP, PAGE, vec, 0, 0, 0);	       /* ENOMEM */
	call(MINCORE, at, PAGE, 0x1000, 0, 0, 0);      /* EFAULT */
	call(MSYNC, at, 4 * PAGE, 4, 0, 0, 0);
	call(MSYNC, at, 4 * PAGE, 5, 0, 0, 0);	       /* EINVAL: both ways */
	call(MSYNC, at, 5 * PAGE, 4, 0, 0, 0);	       /* ENOMEM */
	call(MSYNC, at + 1, PAGE, 4, 0, 0, 0);	       /* EINVAL */
}

static void breaking(void)
{
	word start = call(BRK, 0, 0, 0, 0, 0, 0);

	call(BRK, start, 0, 0, 0, 0, 0);
	call(BRK, start - 1, 0, 0, 0, 0, 0);	       /* below the start: the old break */
	call(BRK, start + 1, 0, 0, 0, 0, 0);	       /* kept to the byte */
	poke(start + 0xff0, 1);			       /* the whole page is there */
	call(BRK, start + 3 * PAGE, 0, 0, 0, 0, 0);
	poke(start + 2 * PAGE, 2);
	peek(start + 0xff0);
	call(BRK, start + PAGE, 0, 0, 0, 0, 0);	       /* shrink */
	call(BRK, start + 3 * PAGE, 0, 0, 0, 0, 0);
	peek(start + 2 * PAGE);			       /* zero again */
	call(BRK, -1UL, 0, 0, 0, 0, 0);		       /* impossible: the old break */
	call(BRK, TOP, 0, 0, 0, 0, 0);
	map(start + 8 * PAGE, PAGE, RW, PA | FIXED);   /* in the way */
	call(BRK, start + 9 * PAGE, 0, 0, 0, 0, 0);
	call(BRK, start + 8 * PAGE, 0, 0, 0, 0, 0);    /* a page is kept free below it */
	call(BRK, start + 7 * PAGE, 0, 0, 0, 0, 0);
	call(BRK, start, 0, 0, 0, 0, 0);
}

static void run(void)
{
	breaking();
	placing();
	fixed();
	unmapping();
	protecting();
	advising();
	moving();
	asking();
}
