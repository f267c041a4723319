/* REP MOVS and REP STOS: what the engine translates to a block for each iteration, done a page at a time.
 *
 * A memmove or memclr of Go is one such instruction where it is long: in its tests of encoding/json they are 64 million
 * of 200 million blocks, a quarter of the time (measured).  The engine itself does the first iteration in each page: it
 * fills the TLB, faults, sets dirty bits, drops translations of code that is overwritten.  It also does the last one.
 */
#include "_accel.h"

#include <string.h>

enum { PAGE = 4096, DF = 1 << 10, REG_EFLAGS = 25 };

/* Where the guest's *addr* is, if the iteration before accessed its page as a whole, and plainly. */
static char *host(Engine *e, const Record *r, uint64_t addr, int access)
{
    uint64_t before = addr - r->element;
    if (before / PAGE != addr / PAGE || (addr + r->element - 1) / PAGE != addr / PAGE)
        return NULL;
    return own_tlb_vaddr_to_host_x86_64(e->env, addr, access, r->mmu_index);
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t within_page(uint64_t addr, unsigned element) { return (int64_t)((PAGE - addr % PAGE) / element); }

int64_t iterate(Engine *e, const Record *r, int64_t most)
{
    uint64_t *reg = e->env, eflags = 0;
    int64_t n = smaller(most, within_page(reg[ENV_RDI], r->element));
    if (r->string == MOVES)
        n = smaller(n, within_page(reg[ENV_RSI], r->element));
    if (reg[ENV_RCX] <= INT64_MAX)
        n = smaller(n, (int64_t)reg[ENV_RCX] - 1);
    if (n <= 0 || own_uc_reg_read(e->uc, REG_EFLAGS, &eflags) || eflags & DF)
        return 0;
    size_t size = (size_t)n * r->element;
    char *to = host(e, r, reg[ENV_RDI], MMU_DATA_STORE);
    if (!to)
        return 0;
    if (r->string == MOVES) {
        const char *from = host(e, r, reg[ENV_RSI], MMU_DATA_LOAD);
        if (!from)
            return 0;
        if (to > from && to < from + size)
            for (size_t i = 0; i < size; i += r->element) /* repeats what it has just written */
                memmove(to + i, from + i, r->element);
        else
            memmove(to, from, size);
        reg[ENV_RSI] += size;
    } else {
        memcpy(to, &reg[ENV_RAX], r->element);
        for (size_t done = r->element; done < size; done *= 2)
            memcpy(to + done, to, done < size - done ? done : size - done);
    }
    reg[ENV_RDI] += size;
    reg[ENV_RCX] -= (uint64_t)n;
    return n;
}
