/*
 * Building JSON with cJSON where every step may run out of memory: the builder remembers that one
 * did, and json_end() tells. Numbers are written as text, since cJSON knows only doubles and prints
 * them its own way. Keys are constants, borrowed.
 */
#pragma once

#include <cjson/cJSON.h>
#include <kpi/base.h>

struct json {
    bool failed;
};

/* A new object or array within parent: under key, or at the end of an array (key NULL). With parent
 * NULL it is the root. NULL after a failure; NULL as parent is then fine. */
cJSON *json_object(struct json *json, cJSON *parent, const char *key);
cJSON *json_array(struct json *json, cJSON *parent, const char *key);

void json_add_null(struct json *json, cJSON *object, const char *key);
void json_add_bool(struct json *json, cJSON *object, const char *key, bool value);
void json_add_integer(struct json *json, cJSON *object, const char *key, int64_t value);
/* Shortest form that reads back the same; null if not finite. */
void json_add_real(struct json *json, cJSON *object, const char *key, double value);
/* 2 to 6 decimals; as a string of JSON. */
void json_format_money(char text[static 40], kpi_decimal value);
void json_add_money(struct json *json, cJSON *object, const char *key, kpi_decimal value);
/* 16 hexadecimal digits, as a string. */
void json_add_hash(struct json *json, cJSON *object, const char *key, uint64_t value);
void json_add_text(struct json *json, cJSON *object, const char *key, const char *value);
void json_add_string(struct json *json, cJSON *object, const char *key, struct kpi_string value);
/* RFC 3339 at an offset from UTC; null for KPI_TIME_NONE. */
void json_add_time(struct json *json, cJSON *object, const char *key, kpi_time time,
                   kpi_duration offset);

/* "2026-11-11T00:00:00+08:00", with 3 or 6 decimals if it has such; "Z" for offset 0. An offset
 * that is no whole minute, or beyond a day, is not written: then in UTC. Returns the length. */
int json_format_time(char ret_text[40], kpi_time time, kpi_duration offset);

/* Prints the tree as one line that ends in \n, and frees it. 0 or -ENOMEM. Free the text with
 * free(). */
int json_end(struct json *json, cJSON *root, char **ret_text, size_t *ret_size);
