/* The Python face: the Counter type, raw registers, loops over host memory.  See _accel.h for what counts. */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_accel.h"

#include <stdlib.h>
#include <string.h>

PyDoc_STRVAR(attach_doc, "attach(library: int) -> str\n\n\
Resolve what is interposed in the loaded libunicorn with dlopen handle *library* and check it on a throwaway engine.\n\
Returns an empty string, or why Counter must not be used; interposed functions then only forward.");

static PyObject *attach(PyObject *module, PyObject *arg)
{
    (void)module;
    void *library = PyLong_AsVoidPtr(arg);
    if (PyErr_Occurred())
        return NULL;
    const char *wrong = attach_library(library);
    return PyUnicode_FromString(wrong ? wrong : "");
}

/* Counter: what Python sees of an Engine; emu.machine.counting describes the methods. */

typedef struct {
    PyObject_HEAD
    Engine *e;
} Counter;

static PyObject *counter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    unsigned long long uc;
    if (!PyArg_ParseTuple(args, "K:Counter", &uc))
        return NULL;
    size_t cpu_offset = attached_cpu_offset();
    if (!cpu_offset)
        return PyErr_Format(PyExc_RuntimeError, "attach() did not succeed");
    Engine *e = new_engine((void *)(uintptr_t)uc, cpu_offset);
    if (!e)
        return PyErr_NoMemory();
    Counter *self = (Counter *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self)
        self->e = e;
    else
        free_engine(e);
    return (PyObject *)self;
}

static void counter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    free_engine(((Counter *)self)->e);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

#define METHOD(name) static PyObject *counter_##name(PyObject *self, PyObject *arg)
#define ENGINE Engine *e = ((Counter *)self)->e; (void)arg
#define PROFILED \
    ENGINE; \
    if (e->totals_only) \
        return PyErr_Format(PyExc_RuntimeError, "this counter was told to count totals only")

METHOD(instructions) { ENGINE; return PyLong_FromLongLong(instructions(e)); }
METHOD(block_pc) { ENGINE; return PyLong_FromUnsignedLongLong(e->current->pc); }
METHOD(block_size) { ENGINE; return PyLong_FromLong(e->current->icount); }
METHOD(limit_reached) { ENGINE; return PyBool_FromLong(instructions(e) >= e->limit + (e->due ? LANES * DUE : 0)); }

METHOD(instructions_at)
{
    ENGINE;
    uint64_t pc = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred())
        return NULL;
    int n = e->current == &e->idle ? 0 : number_of(e->current, pc);
    if (n < 0)
        return PyErr_Format(PyExc_ValueError, "no instruction of the current block starts at %p", (void *)pc);
    return PyLong_FromLongLong(instructions(e) + n);
}

METHOD(set_limit)
{
    ENGINE;
    int64_t limit = arg == Py_None ? NO_LIMIT : PyLong_AsLongLong(arg);
    if (PyErr_Occurred())
        return NULL;
    set_limit(e, limit < 0 ? 0 : limit > NO_LIMIT ? NO_LIMIT : limit);
    Py_RETURN_NONE;
}

METHOD(on_watched)
{
    ENGINE;
    void *function = PyLong_AsVoidPtr(arg);
    if (PyErr_Occurred())
        return NULL;
    memcpy(&e->at_watched, &function, sizeof function);
    Py_RETURN_NONE;
}

#define ON_ADDRESS(name) \
    METHOD(name) \
    { \
        ENGINE; \
        uint64_t pc = PyLong_AsUnsignedLongLong(arg); \
        if (PyErr_Occurred()) \
            return NULL; \
        if (pc <= FORGOTTEN) \
            return PyErr_Format(PyExc_ValueError, "no block starts there"); \
        name(e, pc); \
        Py_RETURN_NONE; \
    }
ON_ADDRESS(watch)
ON_ADDRESS(unwatch)

METHOD(request_stop)
{
    ENGINE;
    e->stop_wanted = true;
    make_due(e);
    Py_RETURN_NONE;
}

METHOD(chain_pages)
{
    ENGINE;
    int chains = PyObject_IsTrue(arg);
    if (chains < 0)
        return NULL;
    e->chains = chains;
    Py_RETURN_NONE;
}

METHOD(count_totals_only) { ENGINE; e->totals_only = true; Py_RETURN_NONE; }

METHOD(repeat_in_bulk) { ENGINE; e->bulk = true; Py_RETURN_NONE; }

METHOD(settle) { ENGINE; e->stop_wanted = false; Py_RETURN_NONE; }

METHOD(blocks)
{
    PROFILED;
    int64_t sum = 0;
    for (uint32_t i = 0; i < e->n_records; i++) {
        Record *r = record_at(e, i);
        sum += r->icount ? *r->executions : 0;
    }
    return PyLong_FromLongLong(sum);
}

METHOD(profile)
{
    PROFILED;
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < e->n_records; i++) {
        Record *r = record_at(e, i);
        if (!r->icount || !*r->executions)
            continue;
        PyObject *entry = Py_BuildValue("(KiiL)", r->pc, r->icount, r->size, *r->executions);
        if (!entry || PyList_Append(list, entry))
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

METHOD(reset)
{
    ENGINE;
    for (uint32_t i = 0; i < n_chunks(e); i++)
        memset(counts_of(e, i), 0, n_records_in(e, i) * sizeof(int64_t));
    begin_at(e, 0);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(state_doc, "state() -> bytes\n\nWhat was counted so far, for restore(); between runs.");

METHOD(state)
{
    ENGINE;
    uint32_t n = e->totals_only ? 0 : e->n_records;
    Py_ssize_t size = (Py_ssize_t)((1 + (size_t)n) * sizeof(int64_t));
    int64_t *state = malloc((size_t)size);
    if (!state)
        return PyErr_NoMemory();
    state[0] = instructions(e) + e->current->icount;
    for (uint32_t i = 0; n && i < n_chunks(e); i++)
        memcpy(state + 1 + i * RECORDS_A_CHUNK, counts_of(e, i), n_records_in(e, i) * sizeof *state);
    PyObject *result = PyBytes_FromStringAndSize((char *)state, size);
    free(state);
    return result;
}

PyDoc_STRVAR(restore_doc, "restore(state: bytes) -> None\n\n\
Count on from what state() returned of this counter, without a limit; between runs.");

METHOD(restore)
{
    ENGINE;
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(arg, &bytes, &size))
        return NULL;
    const int64_t *state = (const int64_t *)bytes;
    Py_ssize_t n = size / (Py_ssize_t)sizeof *state - 1;
    if (n < 0 || n > (Py_ssize_t)e->n_records)
        return PyErr_Format(PyExc_ValueError, "no state of this counter");
    for (uint32_t i = 0; !e->totals_only && i < n_chunks(e); i++) {
        int64_t *counts = counts_of(e, i);
        Py_ssize_t all = n_records_in(e, i), known = n - (Py_ssize_t)i * RECORDS_A_CHUNK;
        known = known < 0 ? 0 : known < all ? known : all;
        memcpy(counts, state + 1 + i * RECORDS_A_CHUNK, (size_t)known * sizeof *state);
        memset(counts + known, 0, (size_t)(all - known) * sizeof *state);
    }
    begin_at(e, state[0]);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(executed_doc, "executed(since: bytes) -> bytes\n\n\
For each block that was ever met, in order of first translation: how often it ran since state() returned *since*, at\n\
most 255.");

METHOD(executed)
{
    PROFILED;
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(arg, &bytes, &size))
        return NULL;
    const int64_t *state = (const int64_t *)bytes;
    Py_ssize_t n = size / (Py_ssize_t)sizeof *state - 1;
    uint8_t *times = malloc((size_t)e->n_records + 1);
    if (!times)
        return PyErr_NoMemory();
    for (uint32_t i = 0; i < e->n_records; i++) {
        int64_t ran = counts_of(e, i / RECORDS_A_CHUNK)[i % RECORDS_A_CHUNK] - ((Py_ssize_t)i < n ? state[1 + i] : 0);
        times[i] = ran < 0 ? 0 : ran > 255 ? 255 : (uint8_t)ran;
    }
    PyObject *result = PyBytes_FromStringAndSize((char *)times, e->n_records);
    free(times);
    return result;
}

METHOD(places)
{
    ENGINE;
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < e->n_records; i++) {
        Record *r = record_at(e, i);
        PyObject *entry = Py_BuildValue("(Ki)", r->pc, r->size);
        if (!entry || PyList_Append(list, entry))
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

METHOD(leave_at)
{
    ENGINE;
    uint64_t pc = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred())
        return NULL;
    int n = e->current == &e->idle ? -1 : number_of(e->current, pc);
    if (n < 0)
        return PyErr_Format(PyExc_ValueError, "no instruction of the current block starts at %p", (void *)pc);
    leave_block(e, n);
    Py_RETURN_NONE;
}

static PyMethodDef counter_methods[] = {
    {"instructions", counter_instructions, METH_NOARGS, NULL},
    {"instructions_at", counter_instructions_at, METH_O, NULL},
    {"block_pc", counter_block_pc, METH_NOARGS, NULL},
    {"block_size", counter_block_size, METH_NOARGS, NULL},
    {"set_limit", counter_set_limit, METH_O, NULL},
    {"limit_reached", counter_limit_reached, METH_NOARGS, NULL},
    {"on_watched", counter_on_watched, METH_O, NULL},
    {"watch", counter_watch, METH_O, NULL},
    {"unwatch", counter_unwatch, METH_O, NULL},
    {"request_stop", counter_request_stop, METH_NOARGS, NULL},
    {"chain_pages", counter_chain_pages, METH_O, NULL},
    {"count_totals_only", counter_count_totals_only, METH_NOARGS, NULL},
    {"repeat_in_bulk", counter_repeat_in_bulk, METH_NOARGS, NULL},
    {"settle", counter_settle, METH_NOARGS, NULL},
    {"blocks", counter_blocks, METH_NOARGS, NULL},
    {"profile", counter_profile, METH_NOARGS, NULL},
    {"reset", counter_reset, METH_NOARGS, NULL},
    {"state", counter_state, METH_NOARGS, state_doc},
    {"restore", counter_restore, METH_O, restore_doc},
    {"executed", counter_executed, METH_O, executed_doc},
    {"places", counter_places, METH_NOARGS, NULL},
    {"leave_at", counter_leave_at, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot counter_slots[] = {
    {Py_tp_doc, "Counter(uc: int)\n\nExact counts of the engine at address *uc*; see emu.machine.counting."},
    {Py_tp_new, counter_new},
    {Py_tp_dealloc, counter_dealloc},
    {Py_tp_methods, counter_methods},
    {0, NULL},
};

static PyType_Spec counter_spec = {"emu.machine._accel.Counter", sizeof(Counter), 0, Py_TPFLAGS_DEFAULT, counter_slots};

/* Registers */

enum { MAX_REGISTERS = 64, REGISTER_SIZE = 64 }; /* bytes of the widest, of which the low 8 are returned */

PyDoc_STRVAR(read_registers_doc, "read_registers(uc: int, ids: tuple[int, ...]) -> tuple[int, ...]\n\n\
The low 64 bits of up to 64 registers of the engine at address *uc*, unsigned.");

static PyObject *read_registers(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    (void)module;
    int ids[MAX_REGISTERS];
    uint64_t values[MAX_REGISTERS][REGISTER_SIZE / sizeof(uint64_t)];
    void *places[MAX_REGISTERS];
    Py_ssize_t n = n_args == 2 ? PyTuple_Size(args[1]) : -1;
    void *uc = n_args == 2 ? PyLong_AsVoidPtr(args[0]) : NULL;
    if (PyErr_Occurred())
        return NULL;
    if (n < 0 || n > MAX_REGISTERS || !own_uc_reg_read_batch)
        return PyErr_Format(PyExc_ValueError, "read_registers(uc, up to %d ids), after attach()", MAX_REGISTERS);
    for (Py_ssize_t i = 0; i < n; i++) {
        ids[i] = (int)PyLong_AsLong(PyTuple_GetItem(args[1], i));
        values[i][0] = 0;
        places[i] = values[i];
    }
    if (PyErr_Occurred())
        return NULL;
    int error = own_uc_reg_read_batch(uc, ids, places, (int)n);
    if (error)
        return PyErr_Format(PyExc_ValueError, "uc_reg_read_batch: error %d", error);
    PyObject *result = PyTuple_New(n);
    for (Py_ssize_t i = 0; result && i < n; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(values[i][0]);
        if (!value || PyTuple_SetItem(result, i, value))
            Py_CLEAR(result);
    }
    return result;
}

PyDoc_STRVAR(write_registers_doc, "write_registers(uc: int, ids: tuple[int, ...], *values: int) -> None\n\n\
Store the low 64 bits of each of *values* in registers of the engine at address *uc*.");

static PyObject *write_registers(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    (void)module;
    int ids[MAX_REGISTERS];
    uint64_t values[MAX_REGISTERS][REGISTER_SIZE / sizeof(uint64_t)];
    void *places[MAX_REGISTERS];
    Py_ssize_t n = n_args - 2;
    if (n < 0 || n > MAX_REGISTERS || PyTuple_Size(args[1]) != n || !own_uc_reg_write_batch)
        return PyErr_Format(PyExc_ValueError, "write_registers(uc, ids, as many values), after attach()");
    void *uc = PyLong_AsVoidPtr(args[0]);
    for (Py_ssize_t i = 0; i < n && !PyErr_Occurred(); i++) {
        memset(values[i], 0, REGISTER_SIZE);
        ids[i] = (int)PyLong_AsLong(PyTuple_GetItem(args[1], i));
        values[i][0] = PyLong_AsUnsignedLongLongMask(args[i + 2]);
        places[i] = values[i];
    }
    if (PyErr_Occurred())
        return NULL;
    int error = own_uc_reg_write_batch(uc, ids, places, (int)n);
    if (error)
        return PyErr_Format(PyExc_ValueError, "uc_reg_write_batch: error %d", error);
    Py_RETURN_NONE;
}

/* Host memory; emu.machine.accel has the same in Python */

enum { PAGE = 4096, PTE_USER = 1 << 2, PTE_DIRTY = 1 << 6, LINE = 256 };
#define PTE_ADDRESS 0x000ffffffffff000u

PyDoc_STRVAR(dirty_pages_doc, "dirty_pages(ptes: int, n: int, clear: bool) -> bytes\n\n\
Packed native uint32 numbers of those of *n* page-table entries at host address *ptes* that have D (bit 6) set.");

static PyObject *dirty_pages(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long at;
    unsigned n, n_dirty = 0;
    int clear;
    if (!PyArg_ParseTuple(args, "KIp:dirty_pages", &at, &n, &clear))
        return NULL;
    uint64_t *ptes = (uint64_t *)(uintptr_t)at;
    uint32_t *dirty = malloc((size_t)n * sizeof *dirty + 1);
    if (!dirty)
        return PyErr_NoMemory();
    for (unsigned i = 0; i < n; i++)
        if (ptes[i] & PTE_DIRTY) {
            dirty[n_dirty++] = i;
            if (clear)
                ptes[i] &= ~(uint64_t)PTE_DIRTY;
        }
    PyObject *result = PyBytes_FromStringAndSize((char *)dirty, (Py_ssize_t)(n_dirty * sizeof *dirty));
    free(dirty);
    return result;
}

PyDoc_STRVAR(copy_pages_doc, "copy_pages(to: int, from_: int, pages: Buffer) -> None\n\n\
Copy the 4096-byte pages whose packed native uint32 numbers *pages* holds, between arrays of pages at host addresses.");

static PyObject *copy_pages(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long to, from;
    Py_buffer pages;
    if (!PyArg_ParseTuple(args, "KKy*:copy_pages", &to, &from, &pages))
        return NULL;
    const char *numbers = pages.buf;
    for (Py_ssize_t i = 0; i + 4 <= pages.len; i += 4) {
        uint32_t page;
        memcpy(&page, numbers + i, sizeof page);
        memcpy((char *)(uintptr_t)to + (size_t)page * PAGE, (char *)(uintptr_t)from + (size_t)page * PAGE, PAGE);
    }
    PyBuffer_Release(&pages);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(clean_pages_doc, "clean_pages(ram: int, tables: Buffer, kept: int, pristine: int, but: Buffer) -> bool\n\n\
Make the frame behind each dirty page zero, or what it is in *pristine* if its number is below *kept*; those whose packed\n\
native uint32 numbers *but* holds, in order, stay.  *tables*: packed uint64 numbers of words in *ram* where a page table\n\
begins.  Tells whether one of the pages may be executed.");

static bool is_among(uint32_t number, const uint32_t *numbers, size_t n)
{
    while (n) {
        size_t half = n / 2;
        if (numbers[half] < number) {
            numbers += half + 1;
            n -= half + 1;
        } else if (numbers[half] > number)
            n = half;
        else
            return true;
    }
    return false;
}

static PyObject *clean_pages(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long ram_at, kept, pristine;
    Py_buffer tables, but;
    if (!PyArg_ParseTuple(args, "Ky*KKy*:clean_pages", &ram_at, &tables, &kept, &pristine, &but))
        return NULL;
    char *ram = (char *)(uintptr_t)ram_at;
    bool code = false;
    for (Py_ssize_t i = 0; i + 8 <= tables.len; i += 8) {
        uint64_t table;
        memcpy(&table, (char *)tables.buf + i, sizeof table);
        const uint64_t *entries = (const uint64_t *)ram + table;
        for (int k = 0; k < 512; k++) {
            if (k % 8 == 0 && !((entries[k] | entries[k + 1] | entries[k + 2] | entries[k + 3] | entries[k + 4] |
                                 entries[k + 5] | entries[k + 6] | entries[k + 7]) & PTE_DIRTY)) {
                k += 7; /* most are not */
                continue;
            }
            if (!(entries[k] & PTE_DIRTY))
                continue;
            uint64_t frame = (entries[k] & PTE_ADDRESS) / PAGE;
            code |= !(entries[k] >> 63) && entries[k] & PTE_USER;
            if (is_among((uint32_t)frame, but.buf, (size_t)but.len / 4))
                continue;
            if (frame < kept)
                memcpy(ram + frame * PAGE, (char *)(uintptr_t)pristine + frame * PAGE, PAGE);
            else
                memset(ram + frame * PAGE, 0, PAGE);
        }
    }
    PyBuffer_Release(&but);
    PyBuffer_Release(&tables);
    return PyBool_FromLong(code);
}

PyDoc_STRVAR(store_pages_doc, "store_pages(to: int, pages: Buffer, data: Buffer) -> None\n\n\
Store the 4096-byte pages that follow each other in *data* at the packed native uint32 numbers *pages* of an array of\n\
pages at a host address.");

static PyObject *store_pages(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long to;
    Py_buffer pages, data;
    if (!PyArg_ParseTuple(args, "Ky*y*:store_pages", &to, &pages, &data))
        return NULL;
    bool fits = pages.len / 4 * PAGE == data.len;
    for (Py_ssize_t i = 0; fits && i < pages.len / 4; i++) {
        uint32_t page;
        memcpy(&page, (char *)pages.buf + 4 * i, sizeof page);
        memcpy((char *)(uintptr_t)to + (size_t)page * PAGE, (char *)data.buf + i * PAGE, PAGE);
    }
    PyBuffer_Release(&pages);
    PyBuffer_Release(&data);
    if (!fits)
        return PyErr_Format(PyExc_ValueError, "as many pages as numbers are needed");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(load_pages_doc, "load_pages(from_: int, pages: Buffer) -> bytes\n\n\
The 4096-byte pages at the packed native uint32 numbers *pages* of an array of pages at a host address, one after the\n\
other.");

static PyObject *load_pages(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long from;
    Py_buffer pages;
    if (!PyArg_ParseTuple(args, "Ky*:load_pages", &from, &pages))
        return NULL;
    PyObject *data = PyBytes_FromStringAndSize(NULL, pages.len / 4 * PAGE);
    for (Py_ssize_t i = 0; data && i < pages.len / 4; i++) {
        uint32_t page;
        memcpy(&page, (char *)pages.buf + 4 * i, sizeof page);
        memcpy(PyBytes_AsString(data) + i * PAGE, (char *)(uintptr_t)from + (size_t)page * PAGE, PAGE);
    }
    PyBuffer_Release(&pages);
    return data;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

PyDoc_STRVAR(dirty_frames_doc, "dirty_frames(ram: int, tables: Buffer, one: int) -> bytes\n\n\
The numbers of the frames behind dirty pages, and of *one*, in order, each once, as packed native uint32.  *ram* and\n\
*tables* as for clean_pages().");

static PyObject *dirty_frames(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long ram_at;
    unsigned one;
    Py_buffer tables;
    if (!PyArg_ParseTuple(args, "Ky*I:dirty_frames", &ram_at, &tables, &one))
        return NULL;
    const uint64_t *words = (const uint64_t *)(uintptr_t)ram_at;
    uint32_t *numbers = PyMem_Malloc((size_t)(tables.len / 8 * 512 + 1) * sizeof *numbers);
    size_t n = 0, unique = 0;
    for (Py_ssize_t i = 0; numbers && i + 8 <= tables.len; i += 8) {
        uint64_t table;
        memcpy(&table, (char *)tables.buf + i, sizeof table);
        for (int k = 0; k < 512; k++)
            if (words[table + k] & PTE_DIRTY)
                numbers[n++] = (uint32_t)((words[table + k] & PTE_ADDRESS) / PAGE);
    }
    PyBuffer_Release(&tables);
    if (!numbers)
        return PyErr_NoMemory();
    numbers[n++] = one;
    qsort(numbers, n, sizeof *numbers, by_number);
    for (size_t i = 0; i < n; i++)
        if (!i || numbers[i] != numbers[i - 1])
            numbers[unique++] = numbers[i];
    PyObject *found = PyBytes_FromStringAndSize((char *)numbers, (Py_ssize_t)(unique * sizeof *numbers));
    PyMem_Free(numbers);
    return found;
}

PyDoc_STRVAR(fill_entries_doc, "fill_entries(ptes: int, first: int, n: int) -> None\n\n\
Store page-table entries for *n* contiguous frames at host address *ptes*; *first* is the first entry.");

static PyObject *fill_entries(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long ptes, first;
    unsigned n;
    if (!PyArg_ParseTuple(args, "KKI:fill_entries", &ptes, &first, &n))
        return NULL;
    for (unsigned i = 0; i < n; i++, first += PAGE)
        ((uint64_t *)(uintptr_t)ptes)[i] = first;
    Py_RETURN_NONE;
}

typedef struct { PyObject *list; unsigned long long begin, end; } Runs; /* begin == end: no run is under way */

static void end_run(Runs *runs)
{
    PyObject *run = runs->begin == runs->end ? NULL : Py_BuildValue("(KK)", runs->begin, runs->end - runs->begin);
    if (runs->begin != runs->end && (!run || PyList_Append(runs->list, run)))
        Py_CLEAR(runs->list);
    Py_XDECREF(run);
    runs->begin = runs->end;
}

static void find_differences(Runs *runs, const char *a, const char *b, unsigned long long at, unsigned long long size)
{
    for (unsigned long long stop; runs->list && at < size; at = stop) {
        stop = at + (size - at < LINE ? size - at : LINE);
        if (!memcmp(a + at, b + at, stop - at))
            continue;
        for (unsigned long long word = at; runs->list && word < stop; word += 8) {
            if (!memcmp(a + word, b + word, 8))
                continue;
            if (word != runs->end || runs->begin == runs->end) {
                end_run(runs);
                runs->begin = word;
            }
            runs->end = word + 8;
        }
    }
}

PyDoc_STRVAR(dirty_differences_doc, "dirty_differences(ptes: int, n: int, a: int, b: int) -> list[tuple[int, int]]\n\n\
(offset, length) of each run of 8-byte words in which *n* pages at two host addresses differ, as far as their\n\
page-table entries at host address *ptes* have D set.");

static PyObject *dirty_differences(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long ptes, a, b;
    unsigned n;
    if (!PyArg_ParseTuple(args, "KIKK:dirty_differences", &ptes, &n, &a, &b))
        return NULL;
    Runs runs = {PyList_New(0), 0, 0};
    for (unsigned i = 0; i < n; i++)
        if (((uint64_t *)(uintptr_t)ptes)[i] & PTE_DIRTY)
            find_differences(&runs, (char *)(uintptr_t)a, (char *)(uintptr_t)b, (unsigned long long)i * PAGE,
                             (unsigned long long)(i + 1) * PAGE);
    if (runs.list)
        end_run(&runs);
    return runs.list;
}

static PyMethodDef functions[] = {
    {"attach", attach, METH_O, attach_doc},
    {"read_registers", (PyCFunction)(void (*)(void))read_registers, METH_FASTCALL, read_registers_doc},
    {"write_registers", (PyCFunction)(void (*)(void))write_registers, METH_FASTCALL, write_registers_doc},
    {"dirty_pages", dirty_pages, METH_VARARGS, dirty_pages_doc},
    {"copy_pages", copy_pages, METH_VARARGS, copy_pages_doc},
    {"clean_pages", clean_pages, METH_VARARGS, clean_pages_doc},
    {"store_pages", store_pages, METH_VARARGS, store_pages_doc},
    {"load_pages", load_pages, METH_VARARGS, load_pages_doc},
    {"dirty_frames", dirty_frames, METH_VARARGS, dirty_frames_doc},
    {"fill_entries", fill_entries, METH_VARARGS, fill_entries_doc},
    {"dirty_differences", dirty_differences, METH_VARARGS, dirty_differences_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "emu.machine._accel",
    .m_doc = "Native counting inside Unicorn; use emu.machine.accel.",
    .m_size = -1,
    .m_methods = functions,
};

PyObject *syscall_hook_type(void); /* _accel_calls.c */

PyMODINIT_FUNC PyInit__accel(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *counter = module ? PyType_FromSpec(&counter_spec) : NULL;
    PyObject *hook = counter ? syscall_hook_type() : NULL;
    if (!hook || PyModule_AddObjectRef(module, "Counter", counter) || PyModule_AddObjectRef(module, "Hook", hook))
        Py_CLEAR(module);
    Py_XDECREF(counter);
    Py_XDECREF(hook);
    return module;
}
