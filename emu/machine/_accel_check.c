/* Attaching to a libunicorn, and the proof on a throwaway engine that _accel.h is right about it. */
#define _GNU_SOURCE
#include "_accel.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>

static size_t cpu_offset; /* of the CPU in struct uc_struct */

static int64_t executions_at(Engine *e, uint64_t pc, int icount)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < e->n_records; i++) {
        Record *r = record_at(e, i);
        sum += r->pc == pc && r->icount == icount ? *r->executions : 0;
    }
    return sum;
}

/* Guest code whose counts are known: a loop with a store, a repeated store, the end; and a division by zero. */
enum { CODE = 0x10000, LOOP = CODE + 5, REP = CODE + 26, END = CODE + 29, DIVISION = CODE + 32 };
static const uint8_t guest[] = {
    0xb9, 3, 0, 0, 0,                                 /* mov ecx, 3 */
    0x48, 0x89, 0x4c, 0x24, 0xf8, 0xff, 0xc9, 0x75, 0xf7, /* loop: mov [rsp-8], rcx; dec ecx; jnz loop */
    0x90, 0x90, 0xbf, 0, 0x08, 1, 0,                  /* nop; nop; mov edi, CODE + 0x800 */
    0xb9, 2, 0, 0, 0, 0xf3, 0xaa, 0x90,               /* mov ecx, 2; rep stosb; nop */
    0xcc, 0xcc, 0xcc,                                 /* END */
    0x90, 0x90, 0x31, 0xc9, 0xf7, 0xf1, 0x90,         /* DIVISION: nop; nop; xor ecx, ecx; div ecx; nop */
};

static const char *count_known(void *uc)
{
    uint64_t rip = 0;
    Engine *e = new_engine(uc, cpu_offset);
    const char *wrong = NULL;
    if (!e)
        return "out of memory";
    if (own_uc_emu_start(uc, CODE, END, 0, 0) || instructions(e) + e->current->icount != 17)
        wrong = "the instructions of a known program were miscounted";
    else if (executions_at(e, CODE, 4) != 1 || executions_at(e, LOOP, 3) != 2 || executions_at(e, REP, 1) != 1)
        wrong = "the blocks of a known program were miscounted";
    else if (set_limit(e, 17 + 5), own_uc_emu_start(uc, CODE, END, 0, 0) || own_uc_reg_read(uc, REG_RIP, &rip) ||
             rip != LOOP || instructions(e) != 17 + 7)
        wrong = "a limit did not stop a known program where it should";
    else if (set_limit(e, NO_LIMIT), own_uc_emu_start(uc, LOOP, END, 0, 0) ||
             instructions(e) + e->current->icount != 2 * 17)
        wrong = "a stopped program was miscounted after it went on";
    else if (own_uc_emu_start(uc, DIVISION, END, 0, 0) != UC_ERR_EXCEPTION || instructions(e) != 2 * 17 + 3)
        wrong = "a fault in the middle of a block was miscounted";
    free_engine(e);
    return wrong;
}

static const char *learn_cpu(void *uc)
{
    size_t words = malloc_usable_size(uc) / sizeof(void *);
    newest_cpu = NULL;
    if (own_uc_emu_start(uc, CODE, LOOP, 0, 0) || !newest_cpu)
        return "libunicorn calls its own functions directly";
    for (size_t i = 0; i < words; i++)
        if (((void **)uc)[i] == newest_cpu) {
            cpu_offset = i * sizeof(void *);
            return NULL;
        }
    return "the CPU was not found in the engine";
}

/* Proves on a throwaway engine that everything above holds in the library at hand; returns what does not. */
static const char *self_check(void)
{
    void *uc;
    uint64_t rsp = CODE + 0xf00;
    if (own_uc_version(NULL, NULL) != VERSION)
        return "this Unicorn is not 2.1.4";
    if (own_uc_open(UC_ARCH_X86, UC_MODE_64, &uc))
        return "no engine could be opened";
    const char *wrong = "the check's guest could not be set up";
    if (!own_uc_mem_map(uc, CODE, 0x1000, UC_PROT_ALL) && !own_uc_mem_write(uc, CODE, guest, sizeof guest) &&
        !own_uc_reg_write(uc, REG_RSP, &rsp)) {
        wrong = learn_cpu(uc);
        if (!wrong)
            wrong = count_known(uc);
    }
    own_uc_close(uc);
    return wrong;
}

static int note_library(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    uintptr_t begin = UINTPTR_MAX, end = 0, known = (uintptr_t)own_uc_emu_start;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            begin = at < begin ? at : begin;
            end = at + info->dlpi_phdr[i].p_memsz > end ? at + info->dlpi_phdr[i].p_memsz : end;
        }
    if (known < begin || known >= end)
        return 0;
    library_begin = begin;
    library_end = end;
    return 1;
}

/* A library in which a function is missing gets no accounting; what is interposed is forwarded to all the same. */
const char *attach_library(void *library)
{
    bool missing = false;
#define RESOLVE(result, name, parameters) missing |= !(own_##name = dlsym(library, #name));
    ORIGINALS(RESOLVE)
    if (missing)
        return "this libunicorn lacks functions of 2.1.4";
    dl_iterate_phdr(note_library, NULL);
    const char *wrong = self_check();
    if (wrong)
        cpu_offset = 0;
    return wrong;
}

size_t attached_cpu_offset(void) { return cpu_offset; }
