/* Hook: the engine's hook of SYSCALL or RDTSC, from the registers to a Python function and back.
 *
 * Through ctypes the same takes two and a half times as long (SYSCALL; RDTSC four times): it makes a thread state, an argument object and a frame for
 * each call, and the registers are read and written by calls of their own.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_accel.h"

typedef struct {
    PyObject_HEAD
    /* SYSCALL: of the values of READ; the new RAX, or None to leave all registers as they are.  RDTSC: its 64 bits. */
    PyObject *function;
    PyObject *failed;   /* is told of an exception, which must not go through the engine's frames */
} Hook;

/* unicorn/x86.h */
enum { RAX = 35, RCX = 38, RDI = 39, RDX = 40, RSI = 43, R8 = 106, R9 = 107, R10 = 108, R11 = 109, RFLAGS = 253 };
static int READ[] = {RAX, RDI, RSI, RDX, R10, R8, R9, REG_RIP, RFLAGS, REG_RSP};
static int ANSWER[] = {RAX, RCX, R11}, TIME[] = {RAX, RDX};
enum { N_READ = sizeof READ / sizeof *READ, N_ANSWER = sizeof ANSWER / sizeof *ANSWER, AT_RIP = 7, AT_FLAGS = 8 };
enum { WORDS = 8, SYSCALL_SIZE = 2 }; /* room for the widest register */

static PyObject *ask(const Hook *hook, uint64_t values[][WORDS])
{
    PyObject *args = PyTuple_New(N_READ);
    for (Py_ssize_t i = 0; args && i < N_READ; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(values[i][0]);
        if (!value || PyTuple_SetItem(args, i, value))
            Py_CLEAR(args);
    }
    PyObject *result = args ? PyObject_CallObject(hook->function, args) : NULL;
    Py_XDECREF(args);
    return result;
}

static void fail(const Hook *hook, void *uc)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback)
        PyException_SetTraceback(error, traceback);
    Py_XDECREF(PyObject_CallFunctionObjArgs(hook->failed, error, NULL));
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    own_uc_emu_stop(uc);
}

static void on_syscall(void *uc, void *data)
{
    const Hook *hook = data;
    uint64_t values[N_READ][WORDS];
    void *places[N_READ];
    for (int i = 0; i < N_READ; i++) {
        values[i][0] = 0;
        places[i] = values[i];
    }
    own_uc_reg_read_batch(uc, READ, places, N_READ);
    PyGILState_STATE held = PyGILState_Ensure();
    PyObject *result = ask(hook, values);
    if (result && result != Py_None) {
        /* SYSCALL leaves the return address in RCX and the flags in R11 (Intel SDM vol. 2, SYSCALL). */
        uint64_t answer[N_ANSWER][WORDS] = {
            {PyLong_AsUnsignedLongLongMask(result)}, {values[AT_RIP][0] + SYSCALL_SIZE}, {values[AT_FLAGS][0]}};
        void *to[N_ANSWER] = {answer[0], answer[1], answer[2]};
        if (!PyErr_Occurred())
            own_uc_reg_write_batch(uc, ANSWER, to, N_ANSWER);
    }
    if (PyErr_Occurred())
        fail(hook, uc);
    Py_XDECREF(result);
    PyGILState_Release(held);
}

/* The engine does not execute the instruction where this returns other than 0. */
static int on_rdtsc(void *uc, void *data)
{
    const Hook *hook = data;
    PyGILState_STATE held = PyGILState_Ensure();
    PyObject *result = PyObject_CallNoArgs(hook->function);
    uint64_t ticks = result ? PyLong_AsUnsignedLongLongMask(result) : 0;
    if (PyErr_Occurred())
        fail(hook, uc);
    Py_XDECREF(result);
    PyGILState_Release(held);
    uint64_t halves[2][WORDS] = {{(uint32_t)ticks}, {ticks >> 32}};
    void *to[2] = {halves[0], halves[1]};
    own_uc_reg_write_batch(uc, TIME, to, 2);
    return 1;
}

static PyObject *hook_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    (void)named;
    PyObject *function, *failed;
    if (!PyArg_ParseTuple(args, "OO:Hook", &function, &failed))
        return NULL;
    if (!own_uc_reg_read_batch)
        return PyErr_Format(PyExc_ValueError, "Hook(function, failed), after attach()");
    Hook *hook = (Hook *)PyType_GenericAlloc(type, 0);
    if (!hook)
        return NULL;
    hook->function = Py_NewRef(function);
    hook->failed = Py_NewRef(failed);
    return (PyObject *)hook;
}

static int hook_traverse(PyObject *self, visitproc visit, void *arg)
{
    Hook *hook = (Hook *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(hook->function);
    Py_VISIT(hook->failed);
    return 0;
}

static int hook_clear(PyObject *self)
{
    Hook *hook = (Hook *)self;
    Py_CLEAR(hook->function);
    Py_CLEAR(hook->failed);
    return 0;
}

static void hook_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    hook_clear(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(callback_doc, "() -> tuple[int, int]\n\n\
The callback for uc_hook_add and its user data; this object must live as long as the hook.");

static PyObject *hook_syscall(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("(KK)", (unsigned long long)(uintptr_t)on_syscall, (unsigned long long)(uintptr_t)self);
}

static PyObject *hook_rdtsc(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("(KK)", (unsigned long long)(uintptr_t)on_rdtsc, (unsigned long long)(uintptr_t)self);
}

static PyMethodDef hook_methods[] = {
    {"syscall", hook_syscall, METH_NOARGS, callback_doc},
    {"rdtsc", hook_rdtsc, METH_NOARGS, callback_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot hook_slots[] = {
    {Py_tp_doc, "Hook(function, failed): calls *function* at each SYSCALL or RDTSC; see emu.machine.engine."},
    {Py_tp_new, hook_new},
    {Py_tp_dealloc, hook_dealloc},
    {Py_tp_traverse, hook_traverse},
    {Py_tp_clear, hook_clear},
    {Py_tp_methods, hook_methods},
    {0, NULL},
};

static PyType_Spec hook_spec = {
    .name = "emu.machine._accel.Hook",
    .basicsize = sizeof(Hook),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = hook_slots,
};

PyObject *syscall_hook_type(void)
{
    return PyType_FromSpec(&hook_spec);
}
