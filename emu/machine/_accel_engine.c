/* Counting: records of blocks, an engine's account, the functions that stand in for the engine's.  See _accel.h. */
#include "_accel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define DEFINE(result, name, parameters) HIDDEN result (*own_##name) parameters;
ORIGINALS(DEFINE)

uintptr_t library_begin, library_end;
void *newest_cpu;
Engine *engines;
static Engine *running; /* whose translated code runs, innermost */
enum { SIZE_OF_CHUNK = RECORDS_A_CHUNK * (sizeof(Record) + sizeof(int64_t)) };

/* Records */

void *must(void *memory) /* as the engine itself does, which cannot be unwound from here */
{
    if (!memory) {
        fputs("rt0: out of memory while translating\n", stderr);
        abort();
    }
    return memory;
}

/* Zeros at an address below 2 GiB, if possible: translated code then has it in five bytes, not in ten. */
static void *map_low(size_t size)
{
    void *at = MAP_FAILED;
    for (int where = MAP_32BIT; at == MAP_FAILED && where >= 0; where -= MAP_32BIT)
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | where, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

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
        if (r->pc == like->pc && r->size == like->size && r->icount == like->icount && r->rep == like->rep &&
            r->string == like->string && r->empty == like->empty && !memcmp(r->lengths, like->lengths, like->icount))
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
Record *find_record(Engine *e, const Record *like)
{
    if (e->n_records * 2 >= e->index_size)
        grow_index(e);
    uint32_t *slot = slot_of(e, like);
    if (!*slot) {
        uint32_t n = e->n_records;
        if (n % RECORDS_A_CHUNK == 0) {
            e->chunks = must(realloc(e->chunks, (n / RECORDS_A_CHUNK + 1) * sizeof *e->chunks));
            e->chunks[n / RECORDS_A_CHUNK] = must(map_low(SIZE_OF_CHUNK));
        }
        Record *r = record_at(e, n);
        *r = *like;
        r->executions = counts_of(e, n / RECORDS_A_CHUNK) + n % RECORDS_A_CHUNK;
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

bool is_watched(Engine *e, uint64_t pc) { return e->watched_size && *watched_place(e, pc) == pc; }

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

static int64_t left(const Engine *e)
{
    int64_t sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += e->lanes[i];
    return sum;
}

static int64_t charged(const Engine *e) { return e->limit - left(e); }

/* Makes *left* what may still run.  While it is not negative no lane is; after that each block asks. */
static void spread(Engine *e, int64_t left)
{
    int64_t each = left > 0 ? left / LANES : 0;
    for (int i = 0; i < LANES; i++)
        e->lanes[i] = each;
    e->lanes[0] += left - each * LANES;
}

static void shift(Engine *e, int64_t by)
{
    for (int i = 0; i < LANES; i++)
        e->lanes[i] += by;
    e->limit += LANES * by;
}

void make_due(Engine *e)
{
    if (!e->due)
        shift(e, -DUE);
    e->due = true;
}

static void not_due(Engine *e)
{
    if (e->due)
        shift(e, DUE);
    e->due = false;
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
    --*whole->executions;
    e->lanes[0] += whole->icount - n;
    part.icount = (uint8_t)n;
    part.rep = part.string = 0; /* so that it equals the same part of a block that ends in another way */
    part.size = 0;
    for (int i = 0; i < n; i++)
        part.size += part.lengths[i];
    if (n && !e->totals_only)
        ++*find_record(e, &part)->executions;
    e->rep_pc = 0;
    idle(e, part.pc + part.size);
}

/* Tells the watcher of a block that is charged already; to it the block has not begun. */
static void tell_watcher(Engine *e, Record *r)
{
    --*r->executions;
    e->lanes[0] += r->icount;
    idle(e, r->pc);
    e->at_watched(e->uc, r->pc, r->size, NULL);
    ++*r->executions;
    e->lanes[0] -= r->icount; /* whatever that makes of it, at_block_start() spreads anew */
    e->current = r;
}

/* The block is charged already; asks the engine to stop if that is due. */
static void at_block_start(Engine *e)
{
    Record *r = e->current;
    bool watched = e->at_watched && !r->empty && is_watched(e, r->pc);
    if (watched)
        tell_watcher(e, r);
    int64_t before = charged(e) - r->icount;
    if (r->rep) {
        uint64_t count = ((uint64_t *)e->env)[ENV_RCX], last = r->pc + r->size - r->lengths[r->icount - 1];
        bool from_itself = r->icount == 1 && e->rep_pc == r->pc && e->rep_at == before;
        if (from_itself && !(r->rep == 2 ? (uint32_t)count : count)) {
            --*r->executions;
            e->lanes[0] += 1;
            if (!e->due)
                spread(e, left(e));
            idle(e, r->pc);
            return;
        }
        if (from_itself && r->string && e->bulk && !watched && !e->stop_wanted && !e->exiting) {
            int64_t n = iterate(e, r, e->limit + (e->due ? LANES * DUE : 0) - before);
            *r->executions += n;
            e->lanes[0] -= n;
            before += n;
        }
        e->rep_pc = last;
        e->rep_at = charged(e);
    }
    not_due(e);
    spread(e, left(e));
    if (e->stop_wanted || before >= e->limit) {
        e->stop_wanted = false;
        own_uc_emu_stop(e->uc);
    }
    e->exit_index = e->exiting ? 0 : -1;
}

/* Before the engine's own check: at a block's start (where < 0), or behind the hook of instruction where - 1. */
__attribute__((used)) static void *before_check(void *arg)
{
    Engine *e = running;
    if (!e)
        return arg;
    int32_t where = (int32_t)(uintptr_t)arg;
    if (where < 0)
        at_block_start(e);
    else if (e->exiting)
        e->exit_index = where - 1;
    e->exit_unsynced = where == AT_BLOCK_START;
    return e->uc;
}

/* Interposed.  *arg* is where, to save the translation of another argument in each block; of engines that are not counted
 * it is the engine.  The engine's helper finds the block by its return address, so it must be reached by a jump. */
EXPORT __attribute__((naked)) void helper_check_exit_request_x86_64(void *arg)
{
    (void)arg;
    __asm__("push %rdi\n\t"
            "call before_check\n\t"
            "pop %rdi\n\t"
            "mov %rax, %rdi\n\t"
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
    Engine *outer = running;
    running = e;
    int result = own_cpu_exec_x86_64(uc, cpu);
    running = outer;
    return result;
}

EXPORT void restore_state_to_opc_x86_64(void *env, Block *block, uint64_t *data)
{
    own_restore_state_to_opc_x86_64(env, block, data);
    FIND(env, env);
    if (e) {
        e->restored_pc = data[0];
        e->restored_left = left(e);
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
            /* The check lies behind the block, where it restores nothing. */
            if (e->exit_unsynced && rip != e->idle.pc)
                own_uc_reg_write_batch(e->uc, (int[]){REG_RIP}, (void *[]){&e->idle.pc}, 1);
        } else if (rip == e->restored_pc && left(e) == e->restored_left && number_of(e->current, rip) >= 0)
            leave_block(e, number_of(e->current, rip));
    }
    if (e)
        e->exit_index = -1;
    own_cpu_loop_exit_x86_64(cpu);
}

/* Life of an account */

Engine *new_engine(void *uc, size_t cpu_offset)
{
    own_uc_ctl(uc, UC_CTL_TB_FLUSH); /* blocks translated before would not be counted; also makes the CPU */
    own_uc_ctl(uc, UC_CTL_TLB_FLUSH); /* pages that are there for stores would not be known */
    void *cpu = *(void **)((char *)uc + cpu_offset);
    Engine *e = map_low(sizeof *e);
    if (!e)
        return NULL;
    e->uc = uc;
    e->thread = pthread_self();
    e->cpu = cpu;
    for (Engine *other = engines; other; other = other->next)
        if (other->uc == uc || other->cpu == e->cpu) /* a closed engine's address, or one attached anew */
            other->uc = other->cpu = other->env = NULL;
    e->limit = NO_LIMIT;
    spread(e, NO_LIMIT);
    e->exit_index = -1;
    e->idle.executions = &e->idle_count;
    idle(e, 0);
    e->next = engines;
    return engines = e;
}

void free_engine(Engine *e)
{
    Engine **link = &engines;
    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    for (uint32_t i = 0; i < n_chunks(e); i++)
        munmap(e->chunks[i], SIZE_OF_CHUNK);
    for (size_t i = 0; i < e->n_blocks_of_lengths; i++)
        free(e->blocks_of_lengths[i]);
    free(e->index);
    free(e->watched);
    free(e->blocks_of_lengths);
    free(e->chunks);
    munmap(e, sizeof *e);
}

void set_limit(Engine *e, int64_t limit)
{
    bool due = e->due;
    not_due(e);
    spread(e, left(e) + limit - e->limit);
    e->limit = limit;
    if (due)
        make_due(e);
}

/* Nothing runs, and *done* instructions did. */
void begin_at(Engine *e, int64_t done)
{
    idle(e, e->current->pc);
    e->due = e->stop_wanted = false;
    e->limit = NO_LIMIT;
    spread(e, NO_LIMIT - done);
    e->rep_pc = 0;
}

int64_t instructions(const Engine *e) { return charged(e) - e->current->icount; }

