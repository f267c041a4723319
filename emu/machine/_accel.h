/* Exact instruction counting inside Unicorn, at the cost of a few host instructions a block.
 *
 * libunicorn 2.1.4 calls its own functions through the PLT, so a library that was loaded before it with RTLD_GLOBAL
 * can stand in for them (_accel_engine.c).  For engines that a Counter is attached to (all others are forwarded to,
 * unchanged):
 *
 *   - gen_intermediate_code: a block is at most MAX_BLOCK instructions, so that block boundaries do not depend on how
 *     many operations the engine emits for one; when its translation ends, its length is known and patched in.
 *   - tcg_gen_callN: the engine opens each block with a call that asks whether to stop.  In its place stand
 *         *record->executions += 1 (where a profile is wanted); current = record; lane -= record->icount;
 *     and a branch to the call, which now lies behind the block, if lane < 0: for a due stop, for a lane that needs a new
 *     share of what may still run, and for blocks that end in a repeated string instruction.
 *   - check_exit_request: the same question after each load and store is dropped, but not behind UC_HOOK_CODE hooks.
 *   - cpu_exit, cpu_exec: what uc_emu_stop and a written RIP end in makes the next block's call due; a new round of the
 *     engine's loop takes that back.
 *   - restore_state_to_opc, cpu_loop_exit: a block that is left in its middle (a fault, a stop in a hook, code that
 *     overwrites itself) is charged only for the instructions before that point.
 *   - Blocks that are watched always ask; before the answer the watcher is called, as a UC_HOOK_BLOCK hook would be.
 *     The engine itself looks through all its hooks for each block that it translates, which for 180 of them costs as
 *     much as a tenth of the translation.
 *   - Iterations of REP MOVS and REP STOS within a page are done at once where that is allowed (_accel_string.c).
 *   - tlb_reset_dirty_by_vaddr: after each translation the engine goes through its whole TLB, so that stores into the
 *     block's page are noticed; that is left out where no such page was ever in the TLB for stores (tlb_set_page_with_attrs).
 *     It was 3 % of hello's time (measured).
 *   - tcg_gen_lookup_and_goto_ptr: a jump to a fixed place in another page looks its target up each time, since that page
 *     may be mapped elsewhere by then.  Where chains are allowed it is chained like one within the page; who allows that
 *     has all code forgotten when pages with code go or change (emu.machine.engine).
 *   - tcg_gen_op2, cpu_ldub_code: where each instruction of the block under translation starts, and its first bytes.
 *
 * A repeated string instruction of n > 0 iterations is n native single steps, but n + 1 entries here: the last only
 * finds the count zero.  It is not charged, and no limit stops at it.
 *
 * Source of every statement about the engine: its sources, tag v2.1.4 (qemu/accel/tcg, qemu/tcg, qemu/target/i386).
 * What depends on that release stands under "Layout".  What counting needs of it is proved at load (_accel_check.c) before
 * anything is attached, what iterations in bulk and chains need besides, by tests/machine.  One host thread at a time may use the module and the engines that it counts; uc_emu_stop from another one,
 * and so uc_emu_start's timeout, is not seen before the guest leaves translated code by itself.
 */
#ifndef RT0_ACCEL_H
#define RT0_ACCEL_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default"))) /* what stands in for a function of the engine */

#pragma GCC visibility push(hidden)

/* Layout: Unicorn 2.1.4 on an x86-64 host, x86-64 guest (tcg-opc.h, tcg.h, exec-all.h, cpu.h, unicorn.h, x86.h). */
enum { OP_SET_LABEL = 1, OP_MOVI_I64 = 64, OP_LD_I64 = 73, OP_ST_I64 = 77, OP_ADD_I64 = 78, OP_INSN_START = 129 };
enum { TYPE_I64 = 1, COND_ALWAYS = 1, COND_LT = 2, VERSION = 0x020104ff };
enum { UC_ARCH_X86 = 4, UC_MODE_64 = 8, UC_PROT_ALL = 7, UC_ERR_EXCEPTION = 21, REG_RIP = 41, REG_RSP = 44 };
/* Words of CPUX86State, which begins with the general registers in their encoding's order; hflags, which a block's
 * flags are; the TLB of user code, and that of the rest where SMAP is off. */
enum { ENV_RAX, ENV_RCX, ENV_RSI = 6, ENV_RDI, ENV_RIP = 16, HF_CPL = 3, HF_SMAP = 1 << 23, MMU_USER = 1, MMU_KERNEL = 2 };
enum { MMU_DATA_LOAD, MMU_DATA_STORE, PAGE_WRITE = 2, PAGE_SHIFT = 12 };
#define UC_CTL_TB_FLUSH (10 | 1u << 30)
#define UC_CTL_TLB_FLUSH (11 | 1u << 30)
typedef struct { uint64_t pc, cs_base; uint32_t flags; uint16_t size, icount; } Block; /* TranslationBlock's head */
typedef struct { uint64_t bits, link[2], args[]; } Op;                                 /* TCGOp's head */
enum { OPC_BITS = 0xff, LINK = 8 }; /* of Op.bits; where in an operation what the next one's link[1] points to is */

enum { MAX_BLOCK = 64, RECORDS_A_CHUNK = 1 << 15, AT_BLOCK_START = -1, AT_HOOKED_BLOCK_START = -2, FORGOTTEN = 1, LANES = 8 };
enum { MOVES = 1, STORES }; /* REP MOVS, REP STOS */
static const int64_t NO_LIMIT = INT64_C(1) << 60, DUE = INT64_C(1) << 58;

/* What translated blocks of the same place, length and instructions share; never moves. */
typedef struct {
    int64_t *executions;    /* whole ones; side by side with those of the records before and after */
    uint64_t pc;
    const uint8_t *lengths; /* of each instruction, in bytes */
    uint16_t size;          /* bytes */
    uint8_t icount;         /* instructions */
    uint8_t rep;            /* ends in a repeated string instruction: 1, or 2 if its count is ECX */
    uint8_t string;         /* which iterate() knows: MOVES, STORES, 0 for none ... */
    uint8_t element;        /* ... with elements of so many bytes ... */
    uint8_t mmu_index;      /* ... in this TLB of the engine's */
    bool empty;             /* the block of no bytes where emulation ends */
} Record;

typedef struct Engine {
    /* Their sum: the limit minus the instructions charged (those before the current block and all of its own).  A block
     * is charged to its record's lane.  One lane for all would be a chain of loads that each wait for the store of the
     * block before (measured: 10 to 17 % of Go's test binaries' time). */
    int64_t lanes[LANES];
    Record *current;   /* the block that runs or ran last; &idle where none does */
    int64_t limit;
    bool due;          /* each lane is lowered by DUE and the limit by them all, so that the next block asks */
    bool bulk;         /* iterations of string instructions may be done by iterate() */
    bool chains;       /* direct jumps to other pages are chained too */
    bool totals_only;  /* records' executions are not counted, and mean nothing */
    bool stop_wanted;
    bool exiting;      /* the engine's own check, where it is reached next, leaves the translated code */
    pthread_t thread;  /* that runs it */
    Record idle;       /* stands for "between blocks"; its pc is where the last block was left */
    uint64_t restored_pc; /* the last point in a block that the engine computed, and left at that time */
    int64_t restored_left;
    int exit_index;    /* while the check leaves the block: instructions of it that ran; else -1 */
    bool exit_unsynced; /* ... and nothing has set RIP */
    uint64_t rep_pc;   /* the repeated instruction entered last, with a count that was not zero perhaps, ... */
    int64_t rep_at;    /* ... and the instructions charged at that time */
    void *uc, *cpu, *env;
    Record **chunks;
    int64_t idle_count;
    uint32_t n_records, *index, index_size; /* a hash of records: number + 1, or 0 */
    uint64_t stored[1 << 10]; /* a bit for each hash of a page's number: such a page was in the TLB to be stored into */
    uint64_t *watched;    /* a hash of addresses; 0 is a free place, FORGOTTEN one that was taken */
    uint32_t watched_size, n_watched;
    void (*at_watched)(void *uc, uint64_t pc, uint32_t size, void *data);
    uint8_t *lengths, *lengths_end;
    void **blocks_of_lengths; /* to be freed */
    size_t n_blocks_of_lengths;
    struct Engine *next;
} Engine;

/* The engine's functions, by their own names. */
#define ORIGINALS(X) \
    X(void, check_exit_request_x86_64, (void *)) \
    X(void, helper_check_exit_request_x86_64, (void *, uint32_t)) \
    X(void, tcg_gen_callN_x86_64, (void *, void *, void *, int, void **)) \
    X(void, tcg_gen_op2_x86_64, (void *, int, uint64_t, uint64_t)) \
    X(uint32_t, cpu_ldub_code_x86_64, (void *, uint64_t)) \
    X(void, gen_intermediate_code_x86_64, (void *, Block *, int)) \
    X(void, restore_state_to_opc_x86_64, (void *, Block *, uint64_t *)) \
    X(void, cpu_loop_exit_x86_64, (void *)) \
    X(int, cpu_exec_x86_64, (void *, void *)) \
    X(void, cpu_exit, (void *)) \
    X(Op *, tcg_emit_op_x86_64, (void *, int)) \
    X(void *, tcg_temp_new_internal_x86_64, (void *, int, char)) \
    X(void, tcg_temp_free_internal_x86_64, (void *, void *)) \
    X(void, tcg_gen_op1_x86_64, (void *, int, uint64_t)) \
    X(void, tcg_gen_brcond_i64_x86_64, (void *, int, uint64_t, uint64_t, void *)) \
    X(void *, gen_new_label_x86_64, (void *)) \
    X(uint64_t, tcg_const_i32_x86_64, (void *, int32_t)) \
    X(void, tcg_gen_op3_x86_64, (void *, int, uint64_t, uint64_t, uint64_t)) \
    X(void, tcg_gen_lookup_and_goto_ptr_x86_64, (void *)) \
    X(void, tcg_gen_goto_tb_x86_64, (void *, unsigned)) \
    X(void, tcg_gen_exit_tb_x86_64, (void *, Block *, unsigned)) \
    X(void, tlb_set_page_with_attrs_x86_64, (void *, uint64_t, uint64_t, uint32_t, int, int, uint64_t)) \
    X(void, tlb_reset_dirty_by_vaddr_x86_64, (void *, uint64_t, uint64_t)) \
    X(void *, tlb_vaddr_to_host_x86_64, (void *, uint64_t, int, int)) \
    X(void, helper_raise_exception_x86_64, (void *, int)) \
    X(void, helper_uc_tracecode, (int32_t, int32_t, void *, uint64_t)) \
    X(unsigned, uc_version, (unsigned *, unsigned *)) \
    X(int, uc_open, (int, int, void **)) \
    X(int, uc_close, (void *)) \
    X(int, uc_mem_map, (void *, uint64_t, size_t, uint32_t)) \
    X(int, uc_mem_write, (void *, uint64_t, const void *, size_t)) \
    X(int, uc_reg_read, (void *, int, void *)) \
    X(int, uc_reg_write, (void *, int, const void *)) \
    X(int, uc_reg_write_batch, (void *, int *, void **, int)) \
    X(int, uc_reg_read_batch, (void *, int *, void **, int)) \
    X(int, uc_emu_start, (void *, uint64_t, uint64_t, uint64_t, size_t)) \
    X(int, uc_emu_stop, (void *)) \
    X(int, uc_ctl, (void *, unsigned, ...))
#define DECLARE(result, name, parameters) extern result (*own_##name) parameters;
ORIGINALS(DECLARE)
#undef DECLARE

extern uintptr_t library_begin, library_end; /* of libunicorn's mapping */
extern void *newest_cpu;                     /* the CPU that a block was last translated for */

/* The first counts *uc* from now on, in place of what counted it before; its CPU is found at *cpu_offset* in it. */
Engine *new_engine(void *uc, size_t cpu_offset);
void free_engine(Engine *e);
void *must(void *memory); /* aborts where it is NULL */
static inline Record *record_at(const Engine *e, uint32_t i)
{
    return &e->chunks[i / RECORDS_A_CHUNK][i % RECORDS_A_CHUNK];
}
/* The executions of a chunk's records, which lie behind them: 4,000 are read and restored in every run of a fuzzer. */
static inline int64_t *counts_of(const Engine *e, uint32_t chunk) { return (int64_t *)(e->chunks[chunk] + RECORDS_A_CHUNK); }
static inline uint32_t n_chunks(const Engine *e) { return (e->n_records + RECORDS_A_CHUNK - 1) / RECORDS_A_CHUNK; }
static inline uint32_t n_records_in(const Engine *e, uint32_t chunk)
{
    uint32_t left = e->n_records - chunk * RECORDS_A_CHUNK;
    return left < RECORDS_A_CHUNK ? left : RECORDS_A_CHUNK;
}
Record *find_record(Engine *e, const Record *like);
int number_of(const Record *r, uint64_t pc);
void idle(Engine *e, uint64_t pc);
void leave_block(Engine *e, int n);
void begin_at(Engine *e, int64_t done);
void make_due(Engine *e);
void set_limit(Engine *e, int64_t limit);
void watch(Engine *e, uint64_t pc); /* blocks that are translated from now on */
void unwatch(Engine *e, uint64_t pc);
bool is_watched(Engine *e, uint64_t pc);
int64_t instructions(const Engine *e);
extern Engine *engines;
#define FIND(field, value) Engine *e = engines; while (e && e->field != (value)) e = e->next

/* Does iterations of the instruction *r*, of which the one before was just done, but for the last; at most *most*.
 * Returns how many. */
int64_t iterate(Engine *e, const Record *r, int64_t most);

EXPORT void helper_check_exit_request_x86_64(void *arg); /* stands in for the engine's */

/* Resolves the originals in the library with that dlopen handle: comes first.  Returns what is wrong, or NULL. */
const char *attach_library(void *library);
size_t attached_cpu_offset(void); /* 0 while nothing is attached */

#pragma GCC visibility pop
#endif
