/*
 * Expressions as words: the lexer of `where`, `aggregate`, `formula` and target `value`.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/diag.h>

enum kpi_token_kind {
    KPI_TOKEN_END,
    KPI_TOKEN_ERROR,    /* message and suggest say what is wrong */
    KPI_TOKEN_NUMBER,   /* 10^-6; 65% is 0.65 */
    KPI_TOKEN_DURATION, /* microseconds; 7d */
    KPI_TOKEN_STRING,   /* with escapes still in; `number` is set if there are any */
    KPI_TOKEN_NAME,
    KPI_TOKEN_AND,
    KPI_TOKEN_OR,
    KPI_TOKEN_NOT,
    KPI_TOKEN_IN,
    KPI_TOKEN_OF,
    KPI_TOKEN_TRUE,
    KPI_TOKEN_FALSE,
    KPI_TOKEN_PLUS,
    KPI_TOKEN_MINUS,
    KPI_TOKEN_STAR,
    KPI_TOKEN_SLASH,
    KPI_TOKEN_EQUAL,         /* == */
    KPI_TOKEN_NOT_EQUAL,     /* != */
    KPI_TOKEN_LESS,          /* < */
    KPI_TOKEN_LESS_EQUAL,    /* <= */
    KPI_TOKEN_GREATER,       /* > */
    KPI_TOKEN_GREATER_EQUAL, /* >= */
    KPI_TOKEN_ASSIGN,        /* = */
    KPI_TOKEN_COMMA,
    KPI_TOKEN_OPEN,
    KPI_TOKEN_CLOSE,
    KPI_TOKEN_OPEN_LIST,
    KPI_TOKEN_CLOSE_LIST,
};

struct kpi_token {
    enum kpi_token_kind kind;
    uint32_t offset, length; /* in the text */
    int64_t number;
    struct kpi_string string; /* NAME, STRING: borrowed from the text, without quotes */
    const char *message;      /* ERROR: static */
    const char *suggest;      /* ERROR: static, or NULL */
};

struct kpi_lexer {
    const char *data;
    uint32_t length;
    uint32_t position;
};

/* Reads the next token; after END or ERROR, END again. */
void kpi_lexer_next(struct kpi_lexer *lexer, struct kpi_token *ret_token);
