/* The demo's receiver: an HTTP server of its own that checks signatures and prints what arrives. */
#pragma once

struct demo_receiver;

int demo_receiver_new(struct demo_receiver **ret_receiver);
struct demo_receiver *demo_receiver_free(struct demo_receiver *receiver);
const char *demo_receiver_url(const struct demo_receiver *receiver);
const char *demo_receiver_secret(const struct demo_receiver *receiver);
