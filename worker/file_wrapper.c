/* SPDX-License-Identifier: Apache-2.0 */

#include "file_wrapper.h"

#include <fcntl.h>
#include <stdio.h>

#define BLOCK_SIZE 8192

struct file_wrapper {
    PyObject_HEAD
    PyObject *file;
    Py_ssize_t block_size;
};

/* The same file, opened anew; -1 where its user may not. */
static int open_anew(int fd)
{
    char path[32];
    int own;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    Py_BEGIN_ALLOW_THREADS
    own = open(path, O_RDONLY | O_CLOEXEC);
    Py_END_ALLOW_THREADS
    return own;
}

int cgww_file_wrapper_open(struct cgww_worker *worker, PyObject *wrapper,
                           struct cgww_file *out)
{
    PyObject *file = ((struct file_wrapper *)wrapper)->file;
    PyObject *found = PyObject_CallFunctionObjArgs(worker->sendable, file,
                                                   NULL);
    unsigned long long offset, length;
    int fd, rv = -1;

    if (found == Py_None) {
        rv = 0;
    }
    else if (found && PyArg_ParseTuple(found, "iKK", &fd, &offset, &length)) {
        out->fd = open_anew(fd);
        out->offset = offset;
        out->length = length;
        rv = out->fd >= 0;
    }
    Py_XDECREF(found);
    return rv;
}

static PyObject *wrapper_new(PyTypeObject *type, PyObject *args, PyObject *kw)
{
    static char *names[] = {"filelike", "blksize", NULL};
    PyObject *file;
    Py_ssize_t block_size = BLOCK_SIZE;

    if (!PyArg_ParseTupleAndKeywords(args, kw, "O|n:file_wrapper", names,
                                     &file, &block_size)) {
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct file_wrapper *w = (struct file_wrapper *)alloc(type, 0);
    if (w) {
        Py_INCREF(file);
        w->file = file;
        w->block_size = block_size > 0 ? block_size : BLOCK_SIZE;
    }
    return (PyObject *)w;
}

static int wrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct file_wrapper *)self)->file);
    return 0;
}

static int wrapper_clear(PyObject *self)
{
    Py_CLEAR(((struct file_wrapper *)self)->file);
    return 0;
}

static void wrapper_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    wrapper_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *wrapper_next(PyObject *self)
{
    struct file_wrapper *w = (struct file_wrapper *)self;
    PyObject *block = PyObject_CallMethod(w->file, "read", "n",
                                          w->block_size);

    if (!block) {
        return NULL;
    }
    if (PyObject_IsTrue(block) > 0) {
        return block;
    }
    return cgww_drop(block); /* without an exception: the iteration ends */
}

static PyObject *wrapper_close(PyObject *self, PyObject *unused)
{
    struct file_wrapper *w = (struct file_wrapper *)self;
    PyObject *method = PyObject_GetAttrString(w->file, "close");

    (void)unused;
    if (!method && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    PyObject *result = method ? PyObject_CallObject(method, NULL) : NULL;
    Py_XDECREF(method);
    return result;
}

static PyMethodDef wrapper_methods[] = {
    {"close", wrapper_close, METH_NOARGS, "close(): close the wrapped file"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot wrapper_slots[] = {
    {Py_tp_doc, "file_wrapper(filelike, blksize=8192): an iterable over a "
                "file (PEP 3333, wsgi.file_wrapper)."},
    {Py_tp_new, wrapper_new},
    {Py_tp_dealloc, wrapper_dealloc},
    {Py_tp_traverse, wrapper_traverse},
    {Py_tp_clear, wrapper_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, wrapper_next},
    {Py_tp_methods, wrapper_methods},
    {0, NULL}};

PyType_Spec cgww_file_wrapper_spec = {
    .name = "_cgateway.FileWrapper",
    .basicsize = sizeof(struct file_wrapper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = wrapper_slots};
