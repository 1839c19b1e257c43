/* A test file from its root to its steps; events and expectations have files of their own. */
#include "cli/test_file.h"

#include <errno.h>
#include <stdlib.h>

#define N_FIELDS(fields) (sizeof(fields) / sizeof((fields)[0]))

/* A list, or nothing behind its key; false: reported. */
static bool is_list(struct load *load, const struct doc_node *node)
{
    if (node->kind == DOC_SEQUENCE)
        return true;
    report_error(&load->report, load_begin_of(node), "%s: a list is expected, as [{…}, {…}]",
                 node->key->value);
    return false;
}

static int read_step(const struct test_reader *reader, const struct doc_node *node,
                     struct test_step *step)
{
    struct doc_node *at, *expect, *alerts, *exhaustive, *answers[KPI_N_ANSWER_KINDS];
    const struct load_field fields[] = {{"at", &at},
                                        {"expect", &expect},
                                        {"alerts", &alerts},
                                        {"exhaustive", &exhaustive},
                                        {"tables", &answers[KPI_ANSWER_TABLE]},
                                        {"funnels", &answers[KPI_ANSWER_FUNNEL]},
                                        {"experiments", &answers[KPI_ANSWER_EXPERIMENT]}};
    struct load *load = &reader->file->load;
    unsigned choice;
    int r = 0;

    *step = (struct test_step){.node = node, .at = KPI_TIME_NONE};
    if (!load_fields(load, node, "step", fields, N_FIELDS(fields)))
        return 0;
    if (!at) {
        report_error(&load->report, load_begin_of(node), "step: at is missing");
        return 0;
    }
    step->node = at;
    (void)test_read_time(reader, at, "at", &step->at); /* reported */
    if (!expect && !alerts && !answers[0] && !answers[1] && !answers[2])
        report_error(&load->report, load_begin_of(node),
                     "step: nothing is expected: expect, alerts, tables, funnels or experiments");
    if (exhaustive && load_choice(load, exhaustive, "exhaustive", "false|true", &choice))
        step->exhaustive = choice == 1;
    if (exhaustive && !alerts)
        report_error(&load->report, doc_node_place(exhaustive->key),
                     "exhaustive: there is no list of alerts");
    if (expect && is_list(load, expect))
        r = test_read_expectations(reader, expect, step);
    if (r == 0 && alerts && is_list(load, alerts))
        r = test_read_alerts(reader, alerts, step);
    for (unsigned kind = 0; kind < KPI_N_ANSWER_KINDS && r == 0; kind++) {
        if (answers[kind] && is_list(load, answers[kind]))
            test_read_answers(reader, (enum kpi_answer_kind)kind, answers[kind], step);
    }
    return r;
}

static int read_steps(const struct test_reader *reader, const struct doc_node *list,
                      struct test_case *test)
{
    struct load *load = &reader->file->load;
    const struct doc_node *child;

    if (!is_list(load, list))
        return 0;
    test->steps = arena_alloc(&load->arena, (list->n_children + 1) * sizeof(*test->steps));
    if (!test->steps)
        return -ENOMEM;
    for (child = list->first; child; child = child->next) {
        struct test_step *step = &test->steps[test->n_steps++];
        int r = read_step(reader, child, step);

        if (r < 0)
            return r;
        test->judges |= step->alerts_node != NULL;
        if (test->n_steps > 1 && step->at != KPI_TIME_NONE && step->at <= step[-1].at)
            report_error(&load->report, doc_node_place(step->node),
                         "steps go forward in time: this one is not after the one before");
    }
    return 0;
}

static void read_count(const struct test_reader *reader, const struct doc_node *node,
                       const char *what, struct test_count *count)
{
    if (node && test_read_count(reader, node, what, &count->n))
        count->node = node;
}

/* {time: 1, future: 2} */
static void read_refused(const struct test_reader *reader, const struct doc_node *node,
                         struct test_case *test)
{
    struct doc_node *nodes[KPI_REFUSAL_COUNT];
    struct load_field fields[KPI_REFUSAL_COUNT];

    test->refused_node = node;
    for (unsigned i = 1; i < KPI_REFUSAL_COUNT; i++)
        fields[i] = (struct load_field){kpi_refusal_name(i), &nodes[i]};
    if (!load_fields(&reader->file->load, node, "refused", fields + 1, KPI_REFUSAL_COUNT - 1))
        return;
    for (unsigned i = 1; i < KPI_REFUSAL_COUNT; i++)
        read_count(reader, nodes[i], kpi_refusal_name(i), &test->refused[i]);
}

/* Fields of events; the words of the generator have no place here. */
static const struct doc_node *read_defaults(struct load *load, const struct doc_node *node)
{
    static const char *const words[] = {"repeat", "every", "late"};

    if (!node)
        return NULL;
    if (node->kind != DOC_MAPPING) {
        report_error(&load->report, load_begin_of(node), "defaults: fields of events are expected");
        return NULL;
    }
    for (size_t i = 0; i < N_FIELDS(words); i++) {
        const struct doc_node *word = doc_get(node, words[i]);

        if (word)
            report_error(&load->report, doc_node_place(word->key),
                         "%s stands with an event, not in defaults", words[i]);
    }
    return node;
}

static int read_case(struct test_reader reader, const struct doc_node *node, struct test_case *test)
{
    struct doc_node *name, *start, *defaults, *events, *files, *steps, *refused, *duplicates,
        *conflicts;
    const struct load_field fields[] = {
        {"name", &name},       {"start", &start},           {"defaults", &defaults},
        {"events", &events},   {"files", &files},           {"steps", &steps},
        {"refused", &refused}, {"duplicates", &duplicates}, {"conflicts", &conflicts},
    };
    struct load *load = &reader.file->load;
    struct kpi_string text;
    int r = 0;

    test->node = node;
    if (!load_fields(load, node, "test", fields, N_FIELDS(fields)))
        return 0;
    if (!name)
        report_error(&load->report, load_begin_of(node), "test: name is missing");
    else if (load_text(load, name, "name", &text))
        test->node = name;
    if (start)
        (void)test_read_time(&reader, start, "start", &reader.start); /* reported */
    reader.defaults[0] = read_defaults(load, defaults);
    if (events && is_list(load, events))
        r = test_read_events(&reader, events, test);
    if (r == 0 && files)
        r = test_read_event_files(&reader, files, test);
    if (r == 0 && steps)
        r = read_steps(&reader, steps, test);
    if (refused)
        read_refused(&reader, refused, test);
    read_count(&reader, duplicates, "duplicates", &test->duplicates);
    read_count(&reader, conflicts, "conflicts", &test->conflicts);
    if (!steps && !refused && !duplicates && !conflicts)
        report_error(&load->report, load_begin_of(node),
                     "test: nothing is expected; steps say what");
    return r;
}

/* The configuration that config names, or what definitions hold. 0 or -ENOMEM. */
static int read_config(struct test_file *file, const struct doc_node *config,
                       struct doc_node *definitions, const struct doc_node *root,
                       const struct config_report *report)
{
    struct load *load = &file->load;
    struct kpi_string text;
    const char *path;
    int r;

    if (!config == !definitions) {
        report_error(&load->report, load_begin_of(root),
                     config ? "config and definitions: one of them, not both"
                            : "neither config, which names a file, nor definitions");
        return 0;
    }
    if (definitions) {
        r = definitions->kind == DOC_MAPPING ? load_expand(load, definitions) : 0;
        if (definitions->kind != DOC_MAPPING)
            report_error(&load->report, load_begin_of(definitions),
                         "definitions: the sections of a configuration are expected");
        else if (r == 0)
            r = load_configuration(load, definitions);
        file->config = &load->settings.config;
        return r;
    }
    if (!load_text(load, config, "config", &text))
        return 0;
    path = load_path(load, config);
    if (!path)
        return -ENOMEM;
    r = config_load(&file->loaded, path, 1, report);
    if (r > 0)
        report_error(&load->report, doc_node_place(config), "config: %s cannot be used",
                     QUOTE(text));
    file->config = file->loaded;
    return r < 0 ? r : 0;
}

static int read_cases(struct test_reader *reader, const struct doc_node *list)
{
    struct test_file *file = reader->file;
    const struct doc_node *child;
    int r = 0;

    if (!is_list(&file->load, list))
        return 0;
    file->cases = arena_alloc(&file->load.arena, (list->n_children + 1) * sizeof(*file->cases));
    if (!file->cases)
        return -ENOMEM;
    for (child = list->first; child && r == 0; child = child->next)
        r = read_case(*reader, child, &file->cases[file->n_cases++]);
    return r;
}

static int read_root(struct test_file *file, const struct doc_node *root,
                     const struct config_report *report)
{
    struct doc_node *config, *definitions, *start, *defaults, *tests;
    const struct load_field fields[] = {{"config", &config},
                                        {"definitions", &definitions},
                                        {"start", &start},
                                        {"defaults", &defaults},
                                        {"tests", &tests}};
    struct test_reader reader = {.file = file, .start = KPI_TIME_NONE};
    struct load *load = &file->load;
    int r;

    if (!load_fields(load, root, "test file", fields, N_FIELDS(fields)))
        return 0;
    r = read_config(file, config, definitions, root, report);
    if (r < 0)
        return r;
    reader.plan = file->config ? file->config->plan : NULL;
    if (start)
        (void)test_read_time(&reader, start, "start", &reader.start); /* reported */
    reader.defaults[1] = read_defaults(load, defaults);
    if (!tests)
        report_error(&load->report, load_begin_of(root), "test file: tests is missing");
    else
        r = read_cases(&reader, tests);
    return r;
}

static int read_file(struct test_file *file, const struct config_report *report)
{
    struct load *load = &file->load;
    struct doc_node *root = NULL;
    struct doc_file *source;
    const char *error;
    int r;

    r = doc_file_read(&load->docs, file->path, file->path, &source, &error);
    if (r > 0) {
        const char *line =
            arena_format(&load->arena, "%s: error: cannot be read: %s\n", file->path, error);

        if (!line)
            return -ENOMEM;
        report->line(report->userdata, line);
        return TEST_FILE_E_UNREADABLE;
    }
    if (r == 0)
        r = doc_parse(&load->docs, source, &root);
    if (r == 0 && !root)
        report_error(&load->report, (struct doc_place){source, 0, 0}, "the file is empty");
    if (r == 0 && root)
        r = read_root(file, root, report);
    if (r >= 0 && report_flush(&load->report, report) < 0)
        return -ENOMEM;
    if (r < 0)
        return r;
    return load->report.n_errors > 0 ? TEST_FILE_E_INVALID : 0;
}

int test_file_load(struct test_file **ret_file, const char *path,
                   const struct config_report *report)
{
    struct test_file *file = calloc(1, sizeof(*file));
    int r;

    if (!file)
        return -ENOMEM;
    file->path = path;
    load_init(&file->load, 1);
    r = read_file(file, report);
    if (r == 0)
        *ret_file = file;
    else
        (void)test_file_free(file);
    return r;
}

struct test_file *test_file_free(struct test_file *file)
{
    if (!file)
        return NULL;
    settings_deinit(&file->load.settings);
    arena_deinit(&file->load.arena);
    (void)config_free(file->loaded);
    free(file);
    return NULL;
}
