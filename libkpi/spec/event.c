/*
 * Names of refusals, and batches.
 */
#include <kpi/event.h>
#include <kpi/plan.h>

#include <assert.h>

const char *kpi_refusal_name(enum kpi_refusal refusal)
{
    static const char *const names[] = {
        [KPI_REFUSAL_NONE] = "none",
        [KPI_REFUSAL_EMPTY] = "empty",
        [KPI_REFUSAL_TOO_LARGE] = "too_large",
        [KPI_REFUSAL_JSON] = "json",
        [KPI_REFUSAL_UTF8] = "utf8",
        [KPI_REFUSAL_DEPTH] = "depth",
        [KPI_REFUSAL_NOT_OBJECT] = "not_object",
        [KPI_REFUSAL_DUPLICATE_KEY] = "duplicate_key",
        [KPI_REFUSAL_ID] = "id",
        [KPI_REFUSAL_TYPE] = "type",
        [KPI_REFUSAL_USER] = "user",
        [KPI_REFUSAL_TIME] = "time",
        [KPI_REFUSAL_FIELD] = "field",
        [KPI_REFUSAL_NUMBER] = "number",
        [KPI_REFUSAL_AMOUNT] = "amount",
        [KPI_REFUSAL_CURRENCY] = "currency",
        [KPI_REFUSAL_MAPPING] = "mapping",
        [KPI_REFUSAL_ENCODING] = "encoding",
        [KPI_REFUSAL_SKIPPED] = "skipped",
        [KPI_REFUSAL_FUTURE] = "future",
        [KPI_REFUSAL_EXPIRED] = "expired",
        [KPI_REFUSAL_USER_MISSING] = "user_missing",
        [KPI_REFUSAL_USERS_FULL] = "users_full",
        [KPI_REFUSAL_WITHDRAWN] = "withdrawn",
    };

    static_assert(sizeof(names) / sizeof(*names) == KPI_REFUSAL_COUNT, "every refusal has a name");
    assert(refusal < KPI_REFUSAL_COUNT);
    return names[refusal];
}

/* A batch with what it takes to free it, which its users need not see. */
struct batch_box {
    const struct kpi_mem *mem;
    size_t size;
    struct kpi_batch batch;
    struct kpi_field fields[];
};

int kpi_batch_new(struct kpi_batch **ret_batch, const struct kpi_plan *plan,
                  const struct kpi_mem *mem)
{
    uint32_t n_fields = kpi_plan_n_fields(plan);
    size_t size =
        sizeof(struct batch_box) + (size_t)KPI_BATCH_MAX * n_fields * sizeof(struct kpi_field);
    struct batch_box *box = kpi_mem_zalloc(mem, size);

    if (!box)
        return -ENOMEM;
    box->mem = mem;
    box->size = size;
    for (unsigned i = 0; i < KPI_BATCH_MAX; ++i)
        box->batch.events[i].fields = box->fields + (size_t)i * n_fields;
    *ret_batch = &box->batch;
    return 0;
}

struct kpi_batch *kpi_batch_free(struct kpi_batch *batch)
{
    struct batch_box *box;

    if (batch) {
        box = (struct batch_box *)((char *)batch - offsetof(struct batch_box, batch));
        kpi_mem_free(box->mem, box, box->size);
    }
    return NULL;
}
