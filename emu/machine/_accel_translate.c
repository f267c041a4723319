/* Translation: where blocks are given their accounts.  See _accel.h. */
#include "_accel.h"

/* The block under translation. */
static struct {
    Engine *engine;        /* NULL: none, or of an engine that nobody counts */
    uint64_t starts[MAX_BLOCK + 1];
    int n_starts;
    uint8_t bytes[16];     /* of the newest instruction, as far as they are fetched singly */
    int n_bytes;
    bool after_hook, traps;
    Block *block;
    bool direct;           /* RIP was last set to a constant */
    unsigned exits, asked, given; /* chained exits: those in use, as bits; for the last one its number, and ours for it */
    void *context, *check;
    void *ask, *go_on;     /* labels: of the call to *check*, which stands behind the block, and where that comes back to */
    bool hooked;
    uint64_t *record, *count, *icount, *threshold; /* constants to patch ... */
    Op *load, *store;                      /* ... and operations with the lane's offset */
} now;

/* What a repeated string instruction is: Record.rep and .string.  Intel SDM vol. 2, 2.1.1, REP, MOVS, STOS. */
static void note_repetition(Record *r, const uint8_t *bytes, int n, uint32_t flags)
{
    bool rep = false, ecx = false, word = false, rex_w = false, other = false;
    for (int i = 0; i < n; i++) {
        uint8_t b = bytes[i];
        bool before_opcode = rex_w; /* a REX prefix that another prefix follows is ignored */
        rex_w = false;
        if (b == 0xf2 || b == 0xf3)
            rep = true;
        else if (b == 0x67)
            ecx = true;
        else if (b == 0x66)
            word = true;
        else if ((b & 0xf0) == 0x40)
            rex_w = b & 8;
        else if (b == 0xf0 || (b & 0xe7) == 0x26 || (b & 0xfe) == 0x64)
            other = true;
        else {
            bool moves = (b & 0xfe) == 0xa4, stores = (b & 0xfe) == 0xaa;
            if (!rep || !(moves || stores || b == 0xa6 || b == 0xa7 || (b >= 0xac && b <= 0xaf) || (b & 0xfc) == 0x6c))
                return;
            r->rep = ecx ? 2 : 1;
            if ((moves || stores) && !ecx && !other && !(flags & HF_SMAP)) {
                r->string = moves ? MOVES : STORES;
                r->element = !(b & 1) ? 1 : before_opcode ? 8 : word ? 2 : 4;
                r->mmu_index = (flags & HF_CPL) == HF_CPL ? MMU_USER : MMU_KERNEL;
            }
            return;
        }
    }
}

static uint64_t lane_of(const Record *r)
{
    return offsetof(Engine, lanes) + (uintptr_t)r / sizeof *r % LANES * sizeof(int64_t);
}

/* Neither an instruction that always faults counts, nor the one of no bytes where emulation ends. */
static Record *finished_record(const Block *block)
{
    uint8_t lengths[MAX_BLOCK + 1];
    int n = now.n_starts;
    if (n && now.starts[n - 1] == block->pc + block->size)
        n--;
    for (int i = 0; i < n; i++)
        lengths[i] = (uint8_t)((i + 1 < n ? now.starts[i + 1] : block->pc + block->size) - now.starts[i]);
    uint16_t size = block->size;
    if (now.traps && n)
        size -= lengths[--n];
    Record like = {.pc = block->pc, .lengths = lengths, .size = size, .icount = (uint8_t)n, .empty = !block->size};
    if (!now.traps)
        note_repetition(&like, now.bytes, now.n_bytes, block->flags);
    return find_record(now.engine, &like);
}

EXPORT void tcg_gen_op2_x86_64(void *s, int opc, uint64_t a, uint64_t b)
{
    if (opc == OP_INSN_START && now.engine && now.n_starts <= MAX_BLOCK) {
        now.starts[now.n_starts++] = a;
        now.n_bytes = 0;
    }
    own_tcg_gen_op2_x86_64(s, opc, a, b);
}

/* The engine addresses temporaries by pointer in operations, by offset from its context in functions. */
static Op *op3(void *s, int opc, void *a, void *b, uint64_t c)
{
    Op *op = own_tcg_emit_op_x86_64(s, opc);
    op->args[0] = (uint64_t)(uintptr_t)a;
    op->args[1] = (uint64_t)(uintptr_t)b;
    op->args[2] = c;
    return op;
}

/* Whether the operation before *op* puts a constant into the temporary *temp*. */
static bool is_constant(const Op *op, uint64_t temp)
{
    const Op *before = (const Op *)(uintptr_t)(op->link[1] - LINK);
    return (before->bits & OPC_BITS) == OP_MOVI_I64 && before->args[0] == temp;
}

EXPORT void tcg_gen_op3_x86_64(void *s, int opc, uint64_t a, uint64_t b, uint64_t c)
{
    if (now.engine && now.record && opc == OP_ST_I64 && c == ENV_RIP * sizeof(uint64_t))
        now.direct = is_constant(op3(s, opc, (void *)(uintptr_t)a, (void *)(uintptr_t)b, c), a);
    else
        own_tcg_gen_op3_x86_64(s, opc, a, b, c);
}

EXPORT void tcg_gen_goto_tb_x86_64(void *s, unsigned n)
{
    now.asked = now.given = n;
    if (now.engine && now.exits & 1u << n) /* by a jump that the engine would not have chained */
        now.given = !n;
    now.exits |= 1u << now.given;
    own_tcg_gen_goto_tb_x86_64(s, now.given);
}

EXPORT void tcg_gen_exit_tb_x86_64(void *s, Block *block, unsigned n)
{
    own_tcg_gen_exit_tb_x86_64(s, block, now.engine && block && n == now.asked ? now.given : n);
}

EXPORT void tcg_gen_lookup_and_goto_ptr_x86_64(void *s)
{
    if (now.engine && now.engine->chains && now.direct && now.exits != 3) {
        tcg_gen_goto_tb_x86_64(s, now.exits & 1);
        own_tcg_gen_exit_tb_x86_64(s, now.block, now.given);
    } else
        own_tcg_gen_lookup_and_goto_ptr_x86_64(s);
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

static uint64_t offset(void *s, void *temp) { return (uint64_t)((char *)temp - (char *)s); }

static void call_check(void *s, void *func, int32_t where)
{
    void *arg = (char *)s + own_tcg_const_i32_x86_64(s, where);
    own_tcg_gen_callN_x86_64(s, func, NULL, 1, &arg);
    own_tcg_temp_free_internal_x86_64(s, arg);
}

static void set_label(void *s, void *label)
{
    *(unsigned *)label |= 1; /* present: what gen_set_label does before it emits */
    own_tcg_gen_op1_x86_64(s, OP_SET_LABEL, (uint64_t)(uintptr_t)label);
}

static void emit_accounting(void *s, void *check)
{
    uint64_t *ignored;
    void *state = constant(s, (uint64_t)(uintptr_t)now.engine, &ignored), *record = constant(s, 0, &now.record);
    void *size = constant(s, 0, &now.icount), *never = constant(s, 0, &now.threshold), *left = new_temp(s);
    now.context = s;
    now.check = check;
    now.hooked = now.after_hook;
    now.ask = own_gen_new_label_x86_64(s);
    now.go_on = own_gen_new_label_x86_64(s);
    if (!now.engine->totals_only) {
        void *one = constant(s, 1, &ignored), *at = constant(s, 0, &now.count), *times = new_temp(s);
        op3(s, OP_LD_I64, times, at, 0);
        op3(s, OP_ADD_I64, times, times, (uint64_t)(uintptr_t)one);
        op3(s, OP_ST_I64, times, at, 0);
        own_tcg_temp_free_internal_x86_64(s, one);
        own_tcg_temp_free_internal_x86_64(s, at);
        own_tcg_temp_free_internal_x86_64(s, times);
    }
    op3(s, OP_ST_I64, record, state, offsetof(Engine, current));
    now.load = op3(s, OP_LD_I64, left, state, 0);
    op3(s, OP_ADD_I64, left, left, (uint64_t)(uintptr_t)size);
    now.store = op3(s, OP_ST_I64, left, state, 0);
    own_tcg_gen_brcond_i64_x86_64(s, COND_LT, offset(s, left), offset(s, never), now.ask);
    set_label(s, now.go_on);
    void *temps[] = {state, record, size, never, left};
    for (size_t i = 0; i < sizeof temps / sizeof *temps; i++)
        own_tcg_temp_free_internal_x86_64(s, temps[i]);
}

/* Behind the block, and out of the way of its own code.  For the engine it belongs to an instruction that the block does
 * not have (tb->icount), so that a stop there restores neither RIP nor the flags from what translation left off with. */
static void emit_asking(uint64_t pc)
{
    void *s = now.context;
    own_tcg_gen_op2_x86_64(s, OP_INSN_START, pc, 0);
    set_label(s, now.ask);
    call_check(s, now.check, now.hooked ? AT_HOOKED_BLOCK_START : AT_BLOCK_START);
    own_tcg_gen_brcond_i64_x86_64(s, COND_ALWAYS, 0, 0, now.go_on);
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

EXPORT void gen_intermediate_code_x86_64(void *cpu, Block *block, int max_insns)
{
    newest_cpu = cpu;
    FIND(cpu, cpu);
    now.engine = e; /* also after a translation that a fetch fault left unfinished */
    now.n_starts = now.n_bytes = 0;
    now.after_hook = now.traps = false;
    now.record = now.count = NULL;
    now.block = block;
    now.direct = false;
    now.exits = 0;
    now.asked = now.given = 0;
    own_gen_intermediate_code_x86_64(cpu, block, e && max_insns > MAX_BLOCK ? MAX_BLOCK : max_insns);
    if (e && now.record) {
        Record *r = finished_record(block);
        *now.record = (uint64_t)(uintptr_t)r;
        if (now.count)
            *now.count = (uint64_t)(uintptr_t)r->executions;
        *now.icount = (uint64_t)-(int64_t)r->icount;
        *now.threshold = r->rep || !r->icount || is_watched(e, r->pc) ? (uint64_t)INT64_MAX : 0;
        now.load->args[2] = now.store->args[2] = lane_of(r);
        emit_asking(block->pc);
    }
    now.engine = NULL;
}

static uint64_t *word_of_page(Engine *e, uint64_t page, uint64_t *bit)
{
    uint64_t hash = page * 0x9e3779b97f4a7c15u >> 48; /* Fibonacci hashing to 16 bits */
    *bit = UINT64_C(1) << (hash & 63);
    return &e->stored[hash >> 6];
}

EXPORT void tlb_set_page_with_attrs_x86_64(void *cpu, uint64_t addr, uint64_t physical, uint32_t attributes, int prot,
                                           int mmu_index, uint64_t size)
{
    FIND(cpu, cpu);
    if (e && prot & PAGE_WRITE) {
        uint64_t bit, *word = word_of_page(e, addr >> PAGE_SHIFT, &bit);
        *word |= bit;
    }
    own_tlb_set_page_with_attrs_x86_64(cpu, addr, physical, attributes, prot, mmu_index, size);
}

EXPORT void tlb_reset_dirty_by_vaddr_x86_64(void *cpu, uint64_t addr, uint64_t size)
{
    FIND(cpu, cpu);
    bool stored = !e;
    for (uint64_t page = addr >> PAGE_SHIFT; !stored && page <= (addr + size) >> PAGE_SHIFT; page++) {
        uint64_t bit, *word = word_of_page(e, page, &bit);
        stored = *word & bit;
    }
    if (stored)
        own_tlb_reset_dirty_by_vaddr_x86_64(cpu, addr, size);
}
