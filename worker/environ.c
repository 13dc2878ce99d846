/* SPDX-License-Identifier: Apache-2.0 */

#include "environ.h"

#include <stdlib.h>

#include "callable.h"
#include "errors.h"
#include "input.h"

#define VALUE_KEPT 120      /* longer values are not kept */
#define NAME_KEPT 48
#define LITERAL_SLOTS 256   /* a power of two */

/* The value that a key had last. */
struct kept_value {
    PyObject *str;
    size_t len;
    char bytes[VALUE_KEPT];
};

struct literal {
    PyObject *key;
    size_t len;
    char name[NAME_KEPT];
    struct kept_value value;
};

struct cgww_environ {
    PyObject *base;
    PyObject *keys[CGW_KEY_COUNT];
    struct kept_value values[CGW_KEY_COUNT];
    struct literal literals[LITERAL_SLOTS];
};

static int set_new(PyObject *dict, const char *key, PyObject *value)
{
    int rv = value ? PyDict_SetItemString(dict, key, value) : -1;

    Py_XDECREF(value);
    return rv;
}

static PyObject *base_new(struct cgww_worker *worker, int threads,
                          int processes)
{
    PyObject *d = PyDict_New();
    PyObject *wrapper = (PyObject *)worker->file_wrapper_type;

    if (!d
        || set_new(d, "wsgi.version", Py_BuildValue("(ii)", 1, 0))
        || set_new(d, "wsgi.url_scheme", PyUnicode_InternFromString("http"))
        || set_new(d, "wsgi.multithread", PyBool_FromLong(threads > 1))
        || set_new(d, "wsgi.multiprocess", PyBool_FromLong(processes > 1))
        || set_new(d, "wsgi.run_once", PyBool_FromLong(0))
        || set_new(d, "wsgi.input_terminated", PyBool_FromLong(1))
        || PyDict_SetItemString(d, "wsgi.file_wrapper", wrapper)
        || PyDict_SetItemString(d, "cgateway.group", worker->group)) {
        Py_XDECREF(d);
        return NULL;
    }
    return d;
}

struct cgww_environ *cgww_environ_new(struct cgww_worker *worker, int threads,
                                      int processes)
{
    struct cgww_environ *e = calloc(1, sizeof(*e));

    if (!e) {
        PyErr_NoMemory();
        return NULL;
    }
    for (unsigned id = 1; id < CGW_KEY_COUNT; id++) {
        e->keys[id] = PyUnicode_InternFromString(cgw_key_name(id));
        if (!e->keys[id]) {
            cgww_environ_free(e);
            return NULL;
        }
    }
    e->base = base_new(worker, threads, processes);
    if (!e->base) {
        cgww_environ_free(e);
        return NULL;
    }
    return e;
}

void cgww_environ_free(struct cgww_environ *e)
{
    if (!e) {
        return;
    }
    Py_XDECREF(e->base);
    for (unsigned id = 0; id < CGW_KEY_COUNT; id++) {
        Py_XDECREF(e->keys[id]);
        Py_XDECREF(e->values[id].str);
    }
    for (size_t i = 0; i < LITERAL_SLOTS; i++) {
        Py_XDECREF(e->literals[i].key);
        Py_XDECREF(e->literals[i].value.str);
    }
    free(e);
}

/* New reference to the value, the kept one if it is the same. */
static PyObject *value_str(struct kept_value *kept, const char *bytes,
                           size_t len)
{
    if (kept->str && kept->len == len && memcmp(kept->bytes, bytes, len) == 0) {
        Py_INCREF(kept->str);
        return kept->str;
    }
    PyObject *str = PyUnicode_DecodeLatin1(bytes, (Py_ssize_t)len, NULL);
    if (str && len <= VALUE_KEPT) {
        PyObject *old = kept->str;
        Py_INCREF(str);
        kept->str = str;
        kept->len = len;
        memcpy(kept->bytes, bytes, len);
        Py_XDECREF(old);
    }
    return str;
}

static uint32_t hash_name(const char *name, size_t len)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    }
    return h ^ h >> 16;
}

/* The slot of a name, filled for it; NULL with an exception set. */
static struct literal *literal_slot(struct cgww_environ *e,
                                    const struct cgw_pair *pair)
{
    struct literal *slot =
        &e->literals[hash_name(pair->name, pair->name_len)
                     & (LITERAL_SLOTS - 1)];

    if (slot->key && slot->len == pair->name_len
        && memcmp(slot->name, pair->name, slot->len) == 0) {
        return slot;
    }
    PyObject *key = PyUnicode_DecodeLatin1(
        pair->name, (Py_ssize_t)pair->name_len, NULL);
    if (!key) {
        return NULL;
    }
    PyObject *old = slot->key, *old_value = slot->value.str;
    slot->key = key;
    slot->len = pair->name_len;
    memcpy(slot->name, pair->name, pair->name_len);
    slot->value.str = NULL;
    Py_XDECREF(old);
    Py_XDECREF(old_value);
    return slot;
}

static int set_long_name(PyObject *dict, const struct cgw_pair *pair)
{
    PyObject *key = PyUnicode_DecodeLatin1(
        pair->name, (Py_ssize_t)pair->name_len, NULL);
    PyObject *value = PyUnicode_DecodeLatin1(
        pair->value, (Py_ssize_t)pair->value_len, NULL);
    int rv = key && value ? PyDict_SetItem(dict, key, value) : -1;

    Py_XDECREF(key);
    Py_XDECREF(value);
    return rv;
}

static int set_pair(struct cgww_environ *e, PyObject *dict,
                    const struct cgw_pair *pair)
{
    PyObject *key = e->keys[pair->id];
    struct kept_value *kept = &e->values[pair->id];

    if (pair->id == CGW_KEY_LITERAL) {
        if (pair->name_len > NAME_KEPT) {
            return set_long_name(dict, pair);
        }
        struct literal *slot = literal_slot(e, pair);
        if (!slot) {
            return -1;
        }
        key = slot->key;
        kept = &slot->value;
    }
    PyObject *value = value_str(kept, pair->value, pair->value_len);
    int rv = value ? PyDict_SetItem(dict, key, value) : -1;
    Py_XDECREF(value);
    return rv;
}

/* gunicorn's name for it, which some applications know alone. */
static int set_raw_uri(struct cgww_worker *w, PyObject *dict)
{
    PyObject *uri = PyDict_GetItemWithError(dict,
                                            w->environ->keys[CGW_KEY_REQUEST_URI]);

    return uri ? PyDict_SetItem(dict, w->name_raw_uri, uri)
               : -(PyErr_Occurred() != NULL);
}

static int set_pairs(struct cgww_request *r, PyObject *dict,
                     const uint8_t *payload, size_t len)
{
    size_t pos = r->wire.pairs;
    struct cgw_pair pair, method = {.value = ""}, uri = {.value = ""};

    while (pos < len) {
        enum cgw_wire_status st = cgw_pair_decode(&pair, payload, len, &pos);
        if (st != CGW_WIRE_OK) {
            PyErr_Format(PyExc_ValueError,
                         "the request frame is malformed: %s",
                         cgw_wire_strerror(st));
            return -1;
        }
        if (set_pair(r->worker->environ, dict, &pair) != 0) {
            return -1;
        }
        if (pair.id == CGW_KEY_REQUEST_METHOD) {
            method = pair;
        }
        else if (pair.id == CGW_KEY_REQUEST_URI) {
            uri = pair;
        }
    }
    cgw_slot_set_text(r->thread->slot, method.value, method.value_len,
                      uri.value, uri.value_len);
    return 0;
}

static int set_object(PyObject *dict, PyObject *key, PyObject *value)
{
    int rv = value ? PyDict_SetItem(dict, key, value) : -1;

    Py_XDECREF(value);
    return rv;
}

PyObject *cgww_environ_build(struct cgww_request *r, const uint8_t *payload,
                             size_t len)
{
    struct cgww_worker *w = r->worker;
    PyObject *dict = PyDict_Copy(w->environ->base);

    if (!dict
        || set_pairs(r, dict, payload, len)
        || set_raw_uri(w, dict)
        || set_object(dict, w->name_input, cgww_input_new(r))
        || set_object(dict, w->name_errors, cgww_errors_new(r))
        || set_object(dict, w->name_client_disconnected,
                      cgww_callable_new(r, &cgww_client_disconnected))
        || set_object(dict, w->name_send_interim,
                      cgww_callable_new(r, &cgww_send_interim))
        || ((r->wire.flags & CGW_REQUEST_HTTPS)
            && PyDict_SetItem(dict, w->name_url_scheme, w->name_https))) {
        Py_XDECREF(dict);
        return NULL;
    }
    return dict;
}
