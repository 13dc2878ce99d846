/* SPDX-License-Identifier: Apache-2.0 */
/* What an application prints, and what its scoreboard holds, as the supervisor
 * shows them: no line of a log is forged, and JSON stays JSON. */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cgw_scoreboard.h"
#include "daemon/json.h"
#include "daemon/log.h"

static void check_line(const uint8_t *data, size_t size)
{
    char out[CGWD_LINE_MAX];
    size_t room = size % 2 ? sizeof(out) : 64;
    size_t len = cgwd_log_escape(out, room, (const char *)data, size);

    if (len >= room || out[len] != '\0') {
        abort();
    }
    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)out[i]) && out[i] != '\t') {
            abort();
        }
    }
}

/* The text of a JSON string must end where its writer says. */
static void check_json(const uint8_t *data, size_t size)
{
    cgwd_json json = {0};
    const char *text;
    size_t i = 1;

    cgwd_json_text(&json, NULL, (const char *)data, size);
    text = (const char *)json.buf.data;
    if (json.buf.failed || json.buf.len < 2 || text[0] != '"') {
        abort();
    }
    while (i < json.buf.len && text[i] != '"') {
        if ((unsigned char)text[i] < 0x20) {
            abort();
        }
        i += text[i] == '\\' ? 2 : 1;
    }
    if (i != json.buf.len - 1) {
        abort();
    }
    cgw_buf_free(&json.buf);
}

static void check_slot(const uint8_t *data, size_t size)
{
    static struct cgw_slot slot;
    struct cgw_slot_view view;
    struct cgw_totals totals = {0};

    memcpy(&slot, data, size < sizeof(slot) ? size : sizeof(slot));
    cgw_slot_read(&slot, &view);
    if (view.state >= CGW_SLOT_STATE_COUNT || strlen(view.text) >= CGW_SLOT_TEXT
        || !cgw_slot_state_name(view.state)) {
        abort();
    }
    cgw_scoreboard_total((const struct cgw_scoreboard *)(const void *)&slot, 1, &totals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_line(data, size);
    check_json(data, size);
    check_slot(data, size);
    return 0;
}
