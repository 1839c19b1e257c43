/* Lanes of deliveries. */
#include "sink/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static char *put(char *at, const char **ret_text, const char *text, size_t size)
{
    memcpy(at, text, size);
    *ret_text = at;
    return at + size;
}

struct delivery *delivery_new(const struct sink_message *message)
{
    const size_t n_receiver = strlen(message->receiver) + 1, n_id = strlen(message->id) + 1,
                 n_alert = strlen(message->alert) + 1;
    struct delivery *delivery =
        malloc(sizeof(*delivery) + n_receiver + n_id + n_alert + message->size);
    char *at;

    if (!delivery)
        return NULL;
    *delivery = (struct delivery){.size = message->size, .sequence = message->sequence};
    at = (char *)(delivery + 1);
    at = put(at, &delivery->receiver_name, message->receiver, n_receiver);
    at = put(at, &delivery->id, message->id, n_id);
    at = put(at, &delivery->alert, message->alert, n_alert);
    put(at, &delivery->body, message->body, message->size);
    return delivery;
}

void queue_deinit(struct queue *queue)
{
    struct delivery *delivery;
    size_t i;

    for (i = 0; i < queue->n_lanes; i++) {
        while ((delivery = queue->lanes[i].first)) {
            assert(!delivery->request);
            queue->lanes[i].first = delivery->next;
            free(delivery);
        }
    }
    free(queue->lanes);
    *queue = (struct queue){0};
}

static struct queue_lane *find_lane(const struct queue *queue, const char *alert)
{
    const uint64_t hash = XXH3_64bits(alert, strlen(alert));
    size_t i;

    for (i = 0; i < queue->n_lanes; i++)
        if (queue->lanes[i].alert_hash == hash && strcmp(queue->lanes[i].first->alert, alert) == 0)
            return &queue->lanes[i];
    return NULL;
}

struct delivery *queue_find(const struct queue *queue, const char *alert)
{
    const struct queue_lane *lane = find_lane(queue, alert);

    return lane ? lane->first : NULL;
}

static int add_lane(struct queue *queue, struct delivery *delivery)
{
    size_t size = queue->lanes_size;
    struct queue_lane *lanes;

    if (queue->n_lanes == size) {
        size = size ? 2 * size : 8;
        lanes = realloc(queue->lanes, size * sizeof(*lanes));
        if (!lanes)
            return -ENOMEM;
        queue->lanes = lanes;
        queue->lanes_size = size;
    }
    queue->lanes[queue->n_lanes++] = (struct queue_lane){
        .alert_hash = XXH3_64bits(delivery->alert, strlen(delivery->alert)),
        .first = delivery,
    };
    return 0;
}

int queue_add(struct queue *queue, struct delivery *delivery)
{
    struct queue_lane *lane = find_lane(queue, delivery->alert);
    struct delivery **at;
    int r;

    delivery->next = NULL;
    if (!lane) {
        r = add_lane(queue, delivery);
        if (r < 0)
            return r;
    } else {
        at = &lane->first;
        while (*at && (*at)->sequence <= delivery->sequence)
            at = &(*at)->next;
        delivery->next = *at;
        *at = delivery;
    }
    queue->n_deliveries++;
    return 0;
}

void queue_take(struct queue *queue, struct delivery *delivery)
{
    struct queue_lane *lane = find_lane(queue, delivery->alert);
    struct delivery **at = &lane->first;

    while (*at != delivery)
        at = &(*at)->next;
    *at = delivery->next;
    delivery->next = NULL;
    queue->n_deliveries--;
    if (!lane->first) {
        queue->n_lanes--;
        memmove(lane, lane + 1, (size_t)(queue->lanes + queue->n_lanes - lane) * sizeof(*lane));
    }
}

struct delivery *queue_find_idle(const struct queue *queue)
{
    struct delivery *first;
    size_t i;

    for (i = 0; i < queue->n_lanes; i++) {
        first = queue->lanes[i].first;
        if (!first->request)
            return first;
        if (first->next)
            return first->next;
    }
    return NULL;
}
