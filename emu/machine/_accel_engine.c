/* Counting: records of blocks, an engine's account, the functions that stand in for the engine's.  See _accel.h. */
#include "_accel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))
#define UNUSED __attribute__((unused))
#define DEFINE(result, name, parameters) HIDDEN result (*own_##name) parameters;
ORIGINALS(DEFINE)

uintptr_t library_begin, library_end;
void *newest_cpu;
static Engine *engines;

/* The block under translation. */
static struct {
    Engine *engine;        /* NULL: none, or of an engine that nobody counts */
    uint64_t starts[MAX_BLOCK + 1];
    int n_starts;
    uint8_t bytes[16];     /* of the newest instruction, as far as they are fetched singly */
    int n_bytes;
    bool after_hook, traps;
    uint64_t *record, *icount, *threshold; /* constants to patch */
} now;


/* Records */

static void *must(void *memory) /* as the engine itself does, which cannot be unwound from here */
{
    if (!memory) {
        fputs("rt0: out of memory while translating\n", stderr);
        abort();
    }
    return memory;
}

Record *record_at(Engine *e, uint32_t i) { return &e->chunks[i / RECORDS_A_CHUNK][i % RECORDS_A_CHUNK]; }

static uint32_t hash_of(uint64_t pc, uint32_t size)
{
    return (uint32_t)(((pc ^ (uint64_t)size << 48) * 0x9e3779b97f4a7c15u) >> 32); /* Fibonacci hashing */
}

static uint32_t *slot_of(Engine *e, const Record *like)
{
    for (uint32_t i = hash_of(like->pc, like->size);; i++) {
        uint32_t *slot = &e->index[i & (e->index_size - 1)];
        if (!*slot)
            return slot;
        Record *r = record_at(e, *slot - 1);
        if (r->pc == like->pc && r->size == like->size && r->icount == like->icount && r->rep == like->rep && r->empty == like->empty &&
            !memcmp(r->lengths, like->lengths, like->icount))
            return slot;
    }
}

static const uint8_t *keep_lengths(Engine *e, const uint8_t *lengths, size_t n)
{
    enum { SIZE = 1 << 16 };
    if ((size_t)(e->lengths_end - e->lengths) < n) {
        e->blocks_of_lengths = must(realloc(e->blocks_of_lengths, (e->n_blocks_of_lengths + 1) * sizeof(void *)));
        e->lengths = e->blocks_of_lengths[e->n_blocks_of_lengths++] = must(malloc(SIZE));
        e->lengths_end = e->lengths + SIZE;
    }
    uint8_t *kept = memcpy(e->lengths, lengths, n);
    e->lengths += n;
    return kept;
}

static void grow_index(Engine *e)
{
    free(e->index);
    e->index_size = e->index_size ? e->index_size * 2 : 1 << 12;
    e->index = must(calloc(e->index_size, sizeof *e->index));
    for (uint32_t i = 0; i < e->n_records; i++)
        *slot_of(e, record_at(e, i)) = i + 1;
}

/* The record equal to *like*, made if it is new.  Their number is bounded by the distinct blocks of the guest. */
static Record *find_record(Engine *e, const Record *like)
{
    if (e->n_records * 2 >= e->index_size)
        grow_index(e);
    uint32_t *slot = slot_of(e, like);
    if (!*slot) {
        uint32_t n = e->n_records;
        if (n % RECORDS_A_CHUNK == 0) {
            e->chunks = must(realloc(e->chunks, (n / RECORDS_A_CHUNK + 1) * sizeof *e->chunks));
            e->chunks[n / RECORDS_A_CHUNK] = must(malloc(RECORDS_A_CHUNK * sizeof(Record)));
        }
        Record *r = record_at(e, n);
        *r = *like;
        r->executions = 0;
        r->lengths = keep_lengths(e, like->lengths, like->icount);
        *slot = e->n_records = n + 1;
    }
    return record_at(e, *slot - 1);
}

/* Watched blocks */

/* Where *pc* is among those that are watched, or the free place where it would be. */
static uint64_t *watched_place(Engine *e, uint64_t pc)
{
    for (uint32_t i = hash_of(pc, 0);; i++) {
        uint64_t *place = &e->watched[i & (e->watched_size - 1)];
        if (!*place || *place == pc)
            return place;
    }
}

static bool is_watched(Engine *e, uint64_t pc) { return e->watched_size && *watched_place(e, pc) == pc; }

void watch(Engine *e, uint64_t pc)
{
    if (is_watched(e, pc))
        return;
    if (e->n_watched * 2 >= e->watched_size) { /* also counts those that are forgotten */
        uint64_t *old = e->watched;
        uint32_t old_size = e->watched_size;
        e->watched_size = old_size ? old_size * 2 : 512;
        e->watched = must(calloc(e->watched_size, sizeof *e->watched));
        e->n_watched = 0;
        for (uint32_t i = 0; i < old_size; i++)
            if (old[i] > FORGOTTEN) {
                *watched_place(e, old[i]) = old[i];
                e->n_watched++;
            }
        free(old);
    }
    *watched_place(e, pc) = pc;
    e->n_watched++;
}

void unwatch(Engine *e, uint64_t pc)
{
    if (is_watched(e, pc))
        *watched_place(e, pc) = FORGOTTEN;
}

/* Accounting */

static int64_t charged(const Engine *e) { return e->limit - e->left; }

void make_due(Engine *e)
{
    if (!e->due) {
        e->due = true;
        e->left -= DUE;
        e->limit -= DUE;
    }
}

static void not_due(Engine *e)
{
    if (e->due) {
        e->due = false;
        e->left += DUE;
        e->limit += DUE;
    }
}

void idle(Engine *e, uint64_t pc)
{
    e->idle.pc = pc;
    e->current = &e->idle;
}

/* The number, from 0, of the instruction of *r* that starts at *pc*; how many they are at its end; else -1. */
int number_of(const Record *r, uint64_t pc)
{
    uint64_t at = r->pc;
    for (int i = 0; i < r->icount; at += r->lengths[i++])
        if (at == pc)
            return i;
    return at == pc ? r->icount : -1;
}

/* Of the current block only the first *n* instructions ran. */
void leave_block(Engine *e, int n)
{
    Record *whole = e->current, part = *whole;
    whole->executions--;
    e->left += whole->icount - n;
    part.icount = (uint8_t)n;
    part.rep = 0;
    part.size = 0;
    for (int i = 0; i < n; i++)
        part.size += part.lengths[i];
    if (n)
        find_record(e, &part)->executions++;
    e->rep_pc = 0;
    idle(e, part.pc + part.size);
}

/* Tells the watcher of a block that is charged already; to it the block has not begun. */
static void tell_watcher(Engine *e, Record *r)
{
    r->executions--;
    e->left += r->icount;
    idle(e, r->pc);
    e->at_watched(e->uc, r->pc, r->size, NULL);
    r->executions++;
    e->left -= r->icount;
    e->current = r;
}

/* The block is charged already; asks the engine to stop if that is due. */
static void at_block_start(Engine *e)
{
    Record *r = e->current;
    if (e->at_watched && !r->empty && is_watched(e, r->pc))
        tell_watcher(e, r);
    int64_t before = charged(e) - r->icount;
    if (r->rep) {
        uint64_t count = ((uint64_t *)e->env)[ENV_RCX], last = r->pc + r->size - r->lengths[r->icount - 1];
        bool from_itself = r->icount == 1 && e->rep_pc == r->pc && e->rep_at == before;
        if (from_itself && !(r->rep == 2 ? (uint32_t)count : count)) {
            r->executions--;
            e->left += 1;
            idle(e, r->pc);
            return;
        }
        e->rep_pc = last;
        e->rep_at = charged(e);
    }
    not_due(e);
    if (e->stop_wanted || before >= e->limit) {
        e->stop_wanted = false;
        own_uc_emu_stop(e->uc);
    }
    e->exit_index = e->exiting ? 0 : -1;
}

#define FIND(field, value) Engine *e = engines; while (e && e->field != (value)) e = e->next

/* Before the engine's own check: at a block's start (where < 0), or behind the hook of instruction where - 1. */
__attribute__((used)) static void before_check(void *uc, int32_t where)
{
    FIND(uc, uc);
    if (!e)
        return;
    if (where < 0)
        at_block_start(e);
    else if (e->exiting)
        e->exit_index = where - 1;
    e->exit_unsynced = where == AT_BLOCK_START;
}

/* Interposed.  The engine's helper finds the block by its return address, so it must be reached by a jump. */
EXPORT __attribute__((naked)) void helper_check_exit_request_x86_64(void *uc UNUSED, uint32_t where UNUSED)
{
    __asm__("push %rdi\n\t"
            "call before_check\n\t"
            "pop %rdi\n\t"
            "xor %esi, %esi\n\t"
            "jmp *own_helper_check_exit_request_x86_64(%rip)");
}

EXPORT void cpu_exit(void *cpu)
{
    own_cpu_exit(cpu);
    FIND(cpu, cpu);
    if (e && pthread_equal(pthread_self(), e->thread)) { /* elsewhere it would race with the code that counts */
        e->exiting = true;
        make_due(e);
    }
}

/* The engine's loop begins with nothing asked of it. */
EXPORT int cpu_exec_x86_64(void *uc, void *cpu)
{
    FIND(cpu, cpu);
    if (e) {
        e->exiting = false;
        e->exit_index = -1;
        e->thread = pthread_self();
    }
    return own_cpu_exec_x86_64(uc, cpu);
}

EXPORT void restore_state_to_opc_x86_64(void *env, Block *block, uint64_t *data)
{
    own_restore_state_to_opc_x86_64(env, block, data);
    FIND(env, env);
    if (e) {
        e->restored_pc = data[0];
        e->restored_left = e->left;
    }
}

/* The engine leaves the translated code.  A state restored for a hook only (SYSCALL, CPUID) has another RIP by now. */
EXPORT void cpu_loop_exit_x86_64(void *cpu)
{
    FIND(cpu, cpu);
    if (e && e->current != &e->idle) {
        uint64_t rip = 0;
        own_uc_reg_read(e->uc, REG_RIP, &rip);
        if (e->exit_index >= 0) {
            leave_block(e, e->exit_index);
            /* After uc_reg_write of RIP in an interrupt hook the check no longer restores RIP at the stop it serves. */
            if (e->exit_unsynced && rip != e->idle.pc)
                own_uc_reg_write_batch(e->uc, (int[]){REG_RIP}, (void *[]){&e->idle.pc}, 1);
        } else if (rip == e->restored_pc && e->left == e->restored_left && number_of(e->current, rip) >= 0)
            leave_block(e, number_of(e->current, rip));
    }
    if (e)
        e->exit_index = -1;
    own_cpu_loop_exit_x86_64(cpu);
}

/* Translation */

static bool repeats(const uint8_t *bytes, int n, bool *ecx) /* Intel SDM vol. 2, 2.1.1 and REP */
{
    bool rep = false;
    for (int i = 0; i < n; i++) {
        uint8_t b = bytes[i];
        if (b == 0xf2 || b == 0xf3)
            rep = true;
        else if (b == 0x67)
            *ecx = true;
        else if (b != 0x66 && b != 0xf0 && (b & 0xe7) != 0x26 && (b & 0xfe) != 0x64 && (b & 0xf0) != 0x40)
            return rep && ((b >= 0xa4 && b <= 0xa7) || (b >= 0xaa && b <= 0xaf) || (b >= 0x6c && b <= 0x6f));
    }
    return false;
}

/* Neither an instruction that always faults counts, nor the one of no bytes where emulation ends. */
static Record *finished_record(const Block *block)
{
    uint8_t lengths[MAX_BLOCK + 1];
    bool ecx = false;
    int n = now.n_starts;
    if (n && now.starts[n - 1] == block->pc + block->size)
        n--;
    for (int i = 0; i < n; i++)
        lengths[i] = (uint8_t)((i + 1 < n ? now.starts[i + 1] : block->pc + block->size) - now.starts[i]);
    uint16_t size = block->size;
    if (now.traps && n)
        size -= lengths[--n];
    Record like = {.pc = block->pc, .lengths = lengths, .size = size, .icount = (uint8_t)n, .empty = !block->size,
                   .rep = !now.traps && repeats(now.bytes, now.n_bytes, &ecx)};
    like.rep += like.rep && ecx;
    return find_record(now.engine, &like);
}

EXPORT void gen_intermediate_code_x86_64(void *cpu, Block *block, int max_insns)
{
    newest_cpu = cpu;
    FIND(cpu, cpu);
    now.engine = e; /* also after a translation that a fetch fault left unfinished */
    now.n_starts = now.n_bytes = 0;
    now.after_hook = now.traps = false;
    now.record = NULL;
    own_gen_intermediate_code_x86_64(cpu, block, e && max_insns > MAX_BLOCK ? MAX_BLOCK : max_insns);
    if (e && now.record) {
        Record *r = finished_record(block);
        *now.record = (uint64_t)(uintptr_t)r;
        *now.icount = (uint64_t)-(int64_t)r->icount;
        *now.threshold = r->rep || is_watched(e, r->pc) ? (uint64_t)INT64_MAX : 0;
    }
    now.engine = NULL;
}

EXPORT void tcg_gen_op2_x86_64(void *s, int opc, uint64_t a, uint64_t b)
{
    if (opc == OP_INSN_START && now.engine && now.n_starts <= MAX_BLOCK) {
        now.starts[now.n_starts++] = a;
        now.n_bytes = 0;
    }
    own_tcg_gen_op2_x86_64(s, opc, a, b);
}

EXPORT uint32_t cpu_ldub_code_x86_64(void *env, uint64_t addr)
{
    uint32_t byte = own_cpu_ldub_code_x86_64(env, addr);
    if (now.engine) {
        now.engine->env = env;
        if (now.n_bytes < (int)sizeof now.bytes)
            now.bytes[now.n_bytes++] = (uint8_t)byte;
    }
    return byte;
}

static void *new_temp(void *s) { return own_tcg_temp_new_internal_x86_64(s, TYPE_I64, 0); }

/* A temporary with a constant that may still be changed through the result's second part until translation ends. */
static void *constant(void *s, uint64_t value, uint64_t **place)
{
    void *temp = new_temp(s);
    Op *op = own_tcg_emit_op_x86_64(s, OP_MOVI_I64);
    op->args[0] = (uint64_t)(uintptr_t)temp;
    op->args[1] = value;
    *place = &op->args[1];
    return temp;
}

/* The engine addresses temporaries by pointer in operations, by offset from its context in functions. */
static void op3(void *s, int opc, void *a, void *b, uint64_t c)
{
    own_tcg_gen_op3_x86_64(s, opc, (uint64_t)(uintptr_t)a, (uint64_t)(uintptr_t)b, c);
}

static uint64_t offset(void *s, void *temp) { return (uint64_t)((char *)temp - (char *)s); }

static void call_check(void *s, void *func, int32_t where)
{
    void *args[2] = {(char *)s + own_tcg_const_i64_x86_64(s, (int64_t)(uintptr_t)now.engine->uc),
                     (char *)s + own_tcg_const_i32_x86_64(s, where)};
    own_tcg_gen_callN_x86_64(s, func, NULL, 2, args);
    own_tcg_temp_free_internal_x86_64(s, args[0]);
    own_tcg_temp_free_internal_x86_64(s, args[1]);
}

static void emit_accounting(void *s, void *func)
{
    uint64_t *ignored;
    void *state = constant(s, (uint64_t)(uintptr_t)now.engine, &ignored), *record = constant(s, 0, &now.record);
    void *one = constant(s, 1, &ignored), *size = constant(s, 0, &now.icount), *never = constant(s, 0, &now.threshold);
    void *times = new_temp(s), *old = new_temp(s), *left = new_temp(s), *label = own_gen_new_label_x86_64(s);
    op3(s, OP_LD_I64, times, record, offsetof(Record, executions));
    op3(s, OP_ADD_I64, times, times, (uint64_t)(uintptr_t)one);
    op3(s, OP_ST_I64, times, record, offsetof(Record, executions));
    op3(s, OP_ST_I64, record, state, offsetof(Engine, current));
    op3(s, OP_LD_I64, old, state, offsetof(Engine, left));
    op3(s, OP_ADD_I64, left, old, (uint64_t)(uintptr_t)size);
    op3(s, OP_ST_I64, left, state, offsetof(Engine, left));
    own_tcg_gen_brcond_i64_x86_64(s, COND_GT, offset(s, old), offset(s, never), label);
    void *temps[] = {state, record, one, size, never, times, old, left};
    /* The branch ended the lives of all temporaries. */
    call_check(s, func, now.after_hook ? AT_HOOKED_BLOCK_START : AT_BLOCK_START);
    *(unsigned *)label |= 1;             /* present: what gen_set_label does before it emits */
    own_tcg_gen_op1_x86_64(s, OP_SET_LABEL, (uint64_t)(uintptr_t)label);
    for (size_t i = 0; i < sizeof temps / sizeof *temps; i++)
        own_tcg_temp_free_internal_x86_64(s, temps[i]);
}

EXPORT void tcg_gen_callN_x86_64(void *s, void *func, void *ret, int n, void **args)
{
    uintptr_t at = (uintptr_t)func;
    if (now.engine && func == (void *)helper_check_exit_request_x86_64) {
        emit_accounting(s, func);
        now.after_hook = false;
        return;
    }
    /* A lone hook's callback is called directly, so it lies outside the library. */
    now.after_hook = func == (void *)own_helper_uc_tracecode || at < library_begin || at >= library_end;
    now.traps |= func == (void *)own_helper_raise_exception_x86_64;
    own_tcg_gen_callN_x86_64(s, func, ret, n, args);
}

EXPORT void check_exit_request_x86_64(void *s)
{
    if (!now.engine)
        own_check_exit_request_x86_64(s);
    else if (now.after_hook)
        call_check(s, (void *)helper_check_exit_request_x86_64, now.n_starts);
    now.after_hook = false;
}

/* Life of an account */

Engine *new_engine(void *uc, size_t cpu_offset)
{
    Engine *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    own_uc_ctl(uc, UC_CTL_TB_FLUSH); /* blocks translated before would not be counted; also makes the CPU */
    e->uc = uc;
    e->thread = pthread_self();
    e->cpu = *(void **)((char *)uc + cpu_offset);
    for (Engine *other = engines; other; other = other->next)
        if (other->uc == uc || other->cpu == e->cpu) /* a closed engine's address, or one attached anew */
            other->uc = other->cpu = other->env = NULL;
    e->limit = e->left = NO_LIMIT;
    e->exit_index = -1;
    e->current = &e->idle;
    e->next = engines;
    return engines = e;
}

void free_engine(Engine *e)
{
    Engine **link = &engines;
    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    for (uint32_t i = 0; i * RECORDS_A_CHUNK < e->n_records; i++)
        free(e->chunks[i]);
    for (size_t i = 0; i < e->n_blocks_of_lengths; i++)
        free(e->blocks_of_lengths[i]);
    free(e->chunks);
    free(e->index);
    free(e->watched);
    free(e->blocks_of_lengths);
    free(e);
}

void set_limit(Engine *e, int64_t limit)
{
    int64_t delta = limit - e->limit - (e->due ? DUE : 0);
    e->limit += delta;
    e->left += delta;
}

/* Nothing runs, and *done* instructions did. */
void begin_at(Engine *e, int64_t done)
{
    idle(e, e->current->pc);
    e->due = e->stop_wanted = false;
    e->limit = NO_LIMIT;
    e->left = NO_LIMIT - done;
    e->rep_pc = 0;
}

int64_t instructions(const Engine *e) { return charged(e) - e->current->icount; }

