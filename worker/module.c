/* SPDX-License-Identifier: Apache-2.0 */

/* _cgateway: what worker/cgateway/ (Python) calls to be a worker. */

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callable.h"
#include "cgw_control.h"
#include "environ.h"
#include "errors.h"
#include "file_wrapper.h"
#include "input.h"
#include "request.h"
#include "starter.h"
#include "thread.h"
#include "worker.h"

#define ADOPTION_US 50

struct cgww_worker *cgww_worker_of(PyObject *module)
{
    return PyModule_GetState(module);
}

PyObject *cgww_type_refuse(PyTypeObject *type, PyObject *args, PyObject *kw)
{
    (void)args;
    (void)kw;
    PyErr_Format(PyExc_TypeError, "%R is made by the gateway only",
                 (PyObject *)type);
    return NULL;
}

/* ---- sys.stderr --------------------------------------------------------- */

void cgww_stderr_write(PyObject *text)
{
    PyObject *type, *value, *traceback;
    PyObject *file = PySys_GetObject("stderr"); /* borrowed */

    PyErr_Fetch(&type, &value, &traceback);
    Py_XINCREF(file);
    if (text && PyBytes_Check(text)) {
        text = PyUnicode_FromEncodedObject(text, "utf-8", "backslashreplace");
    }
    else {
        Py_XINCREF(text);
    }
    if (file && text) {
        PyFile_WriteObject(text, file, Py_PRINT_RAW);
    }
    Py_XDECREF(text);
    Py_XDECREF(file);
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

void cgww_stderr_bytes(const char *bytes, size_t len)
{
    PyObject *text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)len,
                                          "backslashreplace");

    if (text) {
        cgww_stderr_write(text);
        Py_DECREF(text);
    }
    else {
        PyErr_Clear();
    }
}

/* ---- control channel ---------------------------------------------------- */

/* Waits for a message; Python's signal handlers run meanwhile. */
static int await_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n, error;

    for (;;) {
        Py_BEGIN_ALLOW_THREADS
        n = poll(&p, 1, -1);
        error = errno;
        Py_END_ALLOW_THREADS
        if (n > 0) {
            return 0;
        }
        if (error != EINTR) {
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (PyErr_CheckSignals() != 0) {
            return -1;
        }
    }
}

static PyObject *module_receive(PyObject *module, PyObject *args)
{
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS];
    int fd, rv;

    (void)module;
    if (!PyArg_ParseTuple(args, "i:receive", &fd) || await_readable(fd) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    rv = cgw_message_recv(fd, &msg, fds, NULL);
    Py_END_ALLOW_THREADS
    if (rv == EPIPE) {
        Py_RETURN_NONE;
    }
    if (rv != 0) {
        errno = rv;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return Py_BuildValue("(iK(iii))", (int)msg.type, (unsigned long long)msg.arg,
                         fds[0], fds[1], fds[2]);
}

static PyObject *module_send(PyObject *module, PyObject *args)
{
    unsigned long long arg = 0;
    const char *text = "";
    int fd, type, rv, pass = -1;

    (void)module;
    if (!PyArg_ParseTuple(args, "ii|Kyi:send", &fd, &type, &arg, &text, &pass)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    rv = cgw_message_send_text(fd, (enum cgw_message_type)type, arg, text, &pass,
                               pass >= 0);
    Py_END_ALLOW_THREADS
    if (rv != 0) {
        errno = rv;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

/* ---- the worker --------------------------------------------------------- */

static void replace(PyObject **field, PyObject *value)
{
    PyObject *old = *field;

    Py_INCREF(value);
    *field = value;
    Py_XDECREF(old);
}

static int start_watchdog(struct cgww_worker *w, int signal, int file,
                          unsigned long long deadlock_ms)
{
    PyObject *name = PyUnicode_AsUTF8String(w->group);
    struct cgww_watchdog_options options = {
        .threads = w->board_threads, .deadlock_us = deadlock_ms * 1000,
        .stack = {.signal = signal, .file = file},
        .group = name ? PyBytes_AsString(name) : NULL};
    int rv;

    if (!options.group) {
        Py_XDECREF(name);
        return -1;
    }
    rv = cgww_watchdog_start(&w->watchdog, &options);
    Py_DECREF(name);
    if (rv != 0) {
        errno = rv;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static PyObject *module_configure(PyObject *module, PyObject *args,
                                  PyObject *kw)
{
    static char *names[] = {"application", "answer", "group", "threads", "processes",
                            "max_requests", "generation", "listen_fd", "owner",
                            "board_fd", "report", "sendable", "gone_error",
                            "stack_signal", "stack_file", "deadlock_ms", NULL};
    struct cgww_worker *w = cgww_worker_of(module);
    PyObject *application, *answer, *group, *report, *sendable, *gone_error;
    unsigned long long max_requests, deadlock_ms;
    unsigned generation;
    int threads, processes, listen_fd, owner, board_fd, signal, file, rv;

    if (!PyArg_ParseTupleAndKeywords(
            args, kw, "OOUiiKIiiiOOOiiK:configure", names, &application, &answer,
            &group, &threads, &processes, &max_requests, &generation, &listen_fd,
            &owner, &board_fd, &report, &sendable, &gone_error, &signal, &file,
            &deadlock_ms)) {
        return NULL;
    }
    if (w->environ) {
        PyErr_SetString(PyExc_RuntimeError, "the worker is configured");
        return NULL;
    }
    w->max_requests = max_requests;
    w->generation = generation;
    w->pid = (uint32_t)getpid();
    replace(&w->application, application);
    replace(&w->answer, answer);
    replace(&w->group, group);
    replace(&w->report, report);
    replace(&w->sendable, sendable);
    replace(&w->gone_error, gone_error);
    w->board = cgw_scoreboard_map(board_fd, (unsigned)threads, 1);
    if (!w->board) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    w->board_threads = (unsigned)threads;
    w->environ = cgww_environ_new(w, threads, processes);
    if (!w->environ) {
        return NULL;
    }
    if ((rv = cgww_dispatch_open(&w->dispatch, listen_fd,
                                 (uid_t)owner)) != 0) {
        errno = rv;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (start_watchdog(w, signal, file, deadlock_ms) != 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *module_answer_watchdog(PyObject *module, PyObject *unused)
{
    struct cgww_worker *w = cgww_worker_of(module);
    bool asked = true;

    (void)unused;
    while (asked) {
        Py_BEGIN_ALLOW_THREADS
        asked = cgww_watchdog_await_question(&w->watchdog);
        Py_END_ALLOW_THREADS
        cgww_watchdog_answer(&w->watchdog); /* with the interpreter lock */
    }
    Py_RETURN_NONE;
}

static PyObject *module_stop_watchdog(PyObject *module, PyObject *unused)
{
    struct cgww_worker *w = cgww_worker_of(module);

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    cgww_watchdog_stop(&w->watchdog);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *module_run(PyObject *module, PyObject *unused)
{
    struct cgww_worker *w = cgww_worker_of(module);

    (void)unused;
    if (!w->environ || w->dispatch.epoll_fd < 0) {
        PyErr_SetString(PyExc_RuntimeError, "configure() comes first");
        return NULL;
    }
    return cgww_thread_run(w);
}

static PyObject *module_drain(PyObject *module, PyObject *unused)
{
    struct cgww_worker *w = cgww_worker_of(module);

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    cgww_dispatch_drain(&w->dispatch);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* The thread that calls, NULL: it is none for requests. */
static struct cgww_thread *calling_thread(const struct cgww_worker *w)
{
    int32_t tid = gettid();
    struct cgww_thread *t = w->threads;

    while (t && CGW_SLOT_GET(t->slot, tid) != tid) {
        t = t->next;
    }
    return t;
}

static PyObject *module_log(PyObject *module, PyObject *args)
{
    struct cgww_thread *t = calling_thread(cgww_worker_of(module));
    const char *text;
    Py_ssize_t len;
    int level;

    if (!PyArg_ParseTuple(args, "iy#:log", &level, &text, &len)) {
        return NULL;
    }
    if (level < CGW_LOG_CRIT || level > CGW_LOG_DEBUG) {
        PyErr_SetString(PyExc_ValueError, "no such level");
        return NULL;
    }
    return PyBool_FromLong(t && t->request
                           && cgww_request_log(t->request,
                                               (enum cgw_log_level)level, text,
                                               (size_t)len));
}

static PyObject *module_forget(PyObject *module, PyObject *unused)
{
    (void)unused;
    cgww_threads_forget(cgww_worker_of(module));
    Py_RETURN_NONE;
}

static PyObject *module_name_process(PyObject *module, PyObject *args)
{
    const char *name;

    (void)module;
    if (!PyArg_ParseTuple(args, "y:name_process", &name)) {
        return NULL;
    }
    prctl(PR_SET_NAME, name, 0, 0, 0);
    Py_RETURN_NONE;
}

/* The supervisor takes nobody for a worker who is not its child. */
static void await_adoption(pid_t parent)
{
    while (getppid() == parent) {
        usleep(ADOPTION_US);
    }
}

/* The process that forks again, so that the worker is the supervisor's child.
 * What the application has registered for forks runs once for each worker, as
 * it would for a single fork; what it has for the parent does not run here,
 * since this process ends. */
static int fork_again(void)
{
    pid_t pid, between = getpid();

    PyOS_BeforeFork();
    pid = fork();
    if (pid == 0) {
        PyOS_AfterFork_Child();
        await_adoption(between);
        return 0;
    }
    _exit(pid < 0 ? errno : 0);
}

static PyObject *module_fork_worker(PyObject *module, PyObject *unused)
{
    int status = 0;
    pid_t pid = fork();

    (void)module;
    (void)unused;
    if (pid == 0) {
        fork_again();
        Py_RETURN_TRUE;
    }
    if (pid < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        continue;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        errno = WEXITSTATUS(status);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_FALSE;
}

static PyMethodDef module_methods[] = {
    {"fork_worker", module_fork_worker, METH_NOARGS,
     "fork_worker() -> True in a new process, which is not this one's child"},
    {"receive", module_receive, METH_VARARGS,
     "receive(fd) -> (type, arg, descriptors), or None at end of file; "
     "descriptors that did not come are -1"},
    {"send", module_send, METH_VARARGS,
     "send(fd, type, arg=0, text=b\"\", pass_fd=-1)"},
    {"configure", (PyCFunction)(void (*)(void))module_configure,
     METH_VARARGS | METH_KEYWORDS, "configure(...): become a worker"},
    {"run", module_run, METH_NOARGS, "run(): be a request thread"},
    {"drain", module_drain, METH_NOARGS, "drain(): accept no more requests"},
    {"log", module_log, METH_VARARGS,
     "log(level, bytes) -> whether httpd takes it: this thread has a request"},
    {"answer_watchdog", module_answer_watchdog, METH_NOARGS,
     "answer_watchdog(): show that a thread can get the interpreter lock; "
     "returns when the watchdog is stopped"},
    {"stop_watchdog", module_stop_watchdog, METH_NOARGS, "stop_watchdog()"},
    {"forget", module_forget, METH_NOARGS,
     "forget(): close the worker's descriptors, in a child process"},
    {"name_process", module_name_process, METH_VARARGS, "name_process(bytes)"},
    {NULL, NULL, 0, NULL}};

/* ---- set-up ------------------------------------------------------------- */

static int make_type(PyTypeObject **out, PyType_Spec *spec)
{
    *out = (PyTypeObject *)PyType_FromSpec(spec);
    return *out ? 0 : -1;
}

static int module_exec(PyObject *module)
{
    struct cgww_worker *w = cgww_worker_of(module);

    w->module = module;
    w->dispatch.listen_fd = w->dispatch.epoll_fd = w->dispatch.event_fd = -1;
#define X(field, text)                                                        \
    if (!(w->name_##field = PyUnicode_InternFromString(text))) {              \
        return -1;                                                            \
    }
    CGWW_NAMES(X)
#undef X
    if (make_type(&w->request_type, &cgww_request_spec)
        || make_type(&w->input_type, &cgww_input_spec)
        || make_type(&w->errors_type, &cgww_errors_spec)
        || make_type(&w->starter_type, &cgww_starter_spec)
        || make_type(&w->file_wrapper_type, &cgww_file_wrapper_spec)
        || make_type(&w->callable_type, &cgww_callable_spec)) {
        return -1;
    }
#define X(sym, value)                                                         \
    if (PyModule_AddIntConstant(module, #sym, value) != 0) {                  \
        return -1;                                                            \
    }
    CGW_MESSAGE_TABLE(X)
#undef X
    return PyModule_AddIntConstant(module, "STACKS_SIGNAL", CGW_STACKS_SIGNAL);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct cgww_worker *w = cgww_worker_of(module);

    Py_VISIT(w->request_type);
    Py_VISIT(w->input_type);
    Py_VISIT(w->errors_type);
    Py_VISIT(w->starter_type);
    Py_VISIT(w->file_wrapper_type);
    Py_VISIT(w->callable_type);
    Py_VISIT(w->application);
    Py_VISIT(w->answer);
    Py_VISIT(w->report);
    Py_VISIT(w->sendable);
    Py_VISIT(w->gone_error);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct cgww_worker *w = cgww_worker_of(module);

    Py_CLEAR(w->request_type);
    Py_CLEAR(w->input_type);
    Py_CLEAR(w->errors_type);
    Py_CLEAR(w->starter_type);
    Py_CLEAR(w->file_wrapper_type);
    Py_CLEAR(w->callable_type);
    Py_CLEAR(w->application);
    Py_CLEAR(w->answer);
    Py_CLEAR(w->report);
    Py_CLEAR(w->sendable);
    Py_CLEAR(w->gone_error);
    return 0;
}

static void module_free(void *module)
{
    struct cgww_worker *w = cgww_worker_of(module);

    if (!w) {
        return;
    }
    cgww_watchdog_stop(&w->watchdog);
    module_clear(module);
    Py_CLEAR(w->group);
#define X(field, text) Py_CLEAR(w->name_##field);
    CGWW_NAMES(X)
#undef X
    cgww_environ_free(w->environ);
    w->environ = NULL;
    cgw_scoreboard_unmap(w->board, w->board_threads);
    w->board = NULL;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec},
                                          {0, NULL}};

static struct PyModuleDef module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_cgateway",
    .m_doc = "The worker of mod_cgateway.",
    .m_size = sizeof(struct cgww_worker),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free};

#define EXPORT __attribute__((visibility("default")))
EXPORT PyMODINIT_FUNC PyInit__cgateway(void);

EXPORT PyMODINIT_FUNC PyInit__cgateway(void)
{
    return PyModuleDef_Init(&module_def);
}
