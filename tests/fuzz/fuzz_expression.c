/*
 * Compiles random text as an expression of each kind. The first byte says where it stands; what
 * compiles is also run over an event and evaluated over rows. Findings: whatever the sanitizers
 * see, a leak, a message that points outside of its text, and a number that is not finite.
 */
#include "spec_fixture.h"

#include <assert.h>
#include <kpi/report.h>
#include <math.h>
#include <spec/program.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fixture f;

enum place {
    WHERE,
    AGGREGATE,
    ATTRIBUTE,
    ATTRIBUTE_WHERE,
    FORMULA,
    VALUE,
    SCOPE,
    NAME,
    N_PLACES,
};

static void define(enum place place, struct kpi_text text)
{
    fixture_init(&f);
    fixture_attribute(&f, "orders", "count", "type == 'purchase'");
    fixture_attribute(&f, "first_seen", "min(time)", "");
    fixture_attribute(&f, "touch", "last(channel)", "channel == 'x'");
    fixture_measure(&f, "buyers", "users(2)", "type == 'purchase' and score > 1 and vip");
    fixture_measure(&f, "acting", "users", "type in active_types");
    fixture_measure(&f, "revenue", "sum(amount)", "");
    fixture_kpi(&f, "k", "revenue / buyers + acting", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 1);
    (void)fixture_target(&f, "k", "1");
    switch (place) {
    case WHERE:
        f.measures[1].where = text;
        break;
    case AGGREGATE:
        f.measures[1].aggregate = text;
        break;
    case ATTRIBUTE:
        f.attributes[2].aggregate = text;
        break;
    case ATTRIBUTE_WHERE:
        f.attributes[2].where = text;
        break;
    case FORMULA:
        f.kpis[0].formula = text;
        break;
    case VALUE:
        f.targets[0].value = text;
        break;
    case SCOPE:
        f.targets[0].scope = text;
        break;
    default:
        f.measures[2].name = text;
        break;
    }
}

static void report(void *userdata, const struct kpi_message *message)
{
    const struct kpi_text *text = userdata;

    assert(message->text.length > 0 && message->text.length <= 512);
    if (message->origin == text->origin)
        assert((uint64_t)message->offset + message->length <= text->length);
}

static struct kpi_string dictionary(void *userdata, int64_t id)
{
    return KPI_STRING("x");
}

static void run_conditions(const struct kpi_plan *plan)
{
    const struct kpi_program *program = kpi_plan_program(plan);
    struct kpi_field fields[KPI_FIELDS_MAX], type = string_field("purchase");
    int64_t slots[2 * KPI_ATTRIBUTES_MAX];
    struct kpi_event event = {.time = DAY_2026_11_01 * KPI_DAY,
                              .flags = KPI_EVENT_HAS_USER,
                              .type = type,
                              .fields = fields};
    const struct kpi_dispatch *dispatch = kpi_program_dispatch(plan, &type);

    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); ++i) {
        switch (kpi_plan_field(plan, i)->use) {
        case KPI_USE_STRING:
            fields[i] = string_field("x");
            break;
        case KPI_USE_BOOL:
            fields[i] = bool_field(true);
            break;
        default:
            fields[i] = number_field(7);
            break;
        }
    }
    for (uint32_t i = 0; i < program->n_slots; ++i)
        slots[i] = i;
    for (uint32_t i = 0; i < program->n_instances; ++i)
        (void)kpi_condition_holds(plan, program->instances[i].condition, &event, slots, dictionary,
                                  NULL); /* any answer will do */
    for (uint32_t i = 0; i < dispatch->n_actions; ++i)
        (void)kpi_condition_holds(plan, dispatch->actions[i].condition, &event, NULL, dictionary,
                                  NULL);
    for (uint32_t i = 0; i < program->n_attributes; ++i)
        (void)kpi_condition_holds(plan, program->attributes[i].condition, &event, slots, dictionary,
                                  NULL);
}

static void run_formula(struct kpi_plan *plan)
{
    kpi_time as_of = (DAY_2026_11_01 + 1) * KPI_DAY;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    uint32_t n_rows;
    int r = kpi_layout_new(&layout, plan, as_of, &f.mem.mem);

    assert(r == 0);
    n_rows = kpi_layout_n_rows(layout);
    rows = calloc(n_rows ? n_rows : 1, sizeof(*rows));
    assert(rows);
    for (int64_t value = 0; value < 3; ++value) {
        struct kpi_value result;

        for (uint32_t i = 0; i < n_rows; ++i)
            rows[i] = (struct kpi_row){value == 2 ? INT64_MAX - i : value, value};
        kpi_report_value(layout, rows, 0, 0, as_of, &result);
        assert(isfinite(result.value) && isfinite(result.complete));
        assert(isfinite(result.numerator.real) && isfinite(result.denominator.real));
    }
    free(rows);
    kpi_layout_unref(layout);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kpi_text text = {.origin = UINT32_MAX};
    struct kpi_plan *plan = NULL;
    struct kpi_diag diag = {.report = report, .userdata = &text};
    int r;

    if (size == 0 || size > 2 * KPI_EXPRESSION_BYTES_MAX)
        return 0;
    text.data = (const char *)data + 1;
    text.length = (uint32_t)(size - 1);
    define((enum place)((data[0] - '0') & 0xff) % N_PLACES, text);
    r = kpi_plan_new(&plan, &f.in, &f.mem.mem, &diag);
    assert(r == 0 || r == KPI_PLAN_E_INVALID);
    assert((r == 0) == (diag.n_errors == 0));
    if (r == 0) {
        run_conditions(plan);
        run_formula(plan);
    }
    kpi_plan_unref(plan);
    assert(f.mem.bytes == 0);
    return 0;
}
