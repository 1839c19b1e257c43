/* The messages of a load as one JSON array, for editors and CI. */
#include "cli/diagnostics.h"

#include "api/json.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct diagnostics {
    struct json json;
    cJSON *array;
};

static void add_message(void *userdata, const struct config_message *message)
{
    struct diagnostics *diagnostics = userdata;
    struct json *json = &diagnostics->json;
    cJSON *item = json_object(json, diagnostics->array, NULL);

    json_add_text(json, item, "file", message->file);
    json_add_integer(json, item, "line", message->line);
    json_add_integer(json, item, "column", message->column);
    json_add_integer(json, item, "end_column", message->end_column);
    json_add_text(json, item, "severity", message->is_error ? "error" : "warning");
    json_add_text(json, item, "message", message->text);
    if (message->suggestion)
        json_add_text(json, item, "suggestion", message->suggestion);
    else
        json_add_null(json, item, "suggestion");
}

int diagnostics_print(const char *path)
{
    struct diagnostics diagnostics = {{0}, NULL};
    const struct config_report report = {
        .message = add_message, .userdata = &diagnostics, .now = clock_now_us()};
    struct config *config = NULL;
    char *text = NULL;
    size_t size;
    int r;

    diagnostics.array = json_array(&diagnostics.json, NULL, NULL);
    r = config_load(&config, path, 0, &report);
    (void)config_free(config);
    if (json_end(&diagnostics.json, diagnostics.array, &text, &size) < 0 || r < 0) {
        free(text);
        (void)fprintf(stderr, "kpid: %s: %s\n", path, strerror(r < 0 ? -r : ENOMEM));
        return EX_SOFTWARE;
    }
    (void)fputs(text, stdout);
    free(text);
    return r == 0 ? 0 : EX_CONFIG;
}
