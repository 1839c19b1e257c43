/*
 * The deployment's secret: 192 random bytes that user and event ids are hashed with, so that state
 * holds no id in clear. Made at first start, mode 0600, and the same for all instances of a group:
 * the state is worthless without it, and another key is refused (store_check()).
 */
#pragma once

#include <stdint.h>

enum {
    SECRET_KEY_BYTES = 192
};

enum {
    SECRET_KEY_E_SHORT = 1,      /* the file is not a key */
    SECRET_KEY_E_OPEN_TO_OTHERS, /* readable by group or others */
};

/*
 * Reads the key, or makes it if the file does not exist; two processes that make it at once end
 * with the same. 0, a negative errno of the file system, or an outcome.
 */
int secret_key_load(const char *path, uint8_t ret_key[SECRET_KEY_BYTES]);
/* Reads only: -ENOENT if there is none. */
int secret_key_read(const char *path, uint8_t ret_key[SECRET_KEY_BYTES]);
/* Tells keys apart without giving one away. */
uint64_t secret_key_fingerprint(const uint8_t key[SECRET_KEY_BYTES]);
