/*
 * Text to tokens. Numbers are read digit by digit into integers; no double is involved, so that
 * 0.1 is a tenth.
 */
#include "spec/lexer.h"
#include "spec/names.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char peek(const struct kpi_lexer *lexer, uint32_t ahead)
{
    /* length is at most KPI_EXPRESSION_BYTES_MAX: no overflow */
    return lexer->position + ahead < lexer->length ? lexer->data[lexer->position + ahead] : '\0';
}

static void fail(struct kpi_lexer *lexer, struct kpi_token *token, uint32_t length,
                 const char *message)
{
    token->kind = KPI_TOKEN_ERROR;
    token->length = length;
    token->message = message;
    lexer->position = lexer->length;
}

/* The digits of a number: mantissa * 10^-n_decimals, without trailing zeros behind the point. */
static bool read_digits(struct kpi_lexer *lexer, int64_t *ret_mantissa, unsigned *ret_n_decimals)
{
    unsigned n_decimals = 0, n_zeros = 0;
    int64_t mantissa = 0;
    bool fraction = false;

    for (;; ++lexer->position) {
        char c = peek(lexer, 0);

        if (c == '.' && !fraction && is_digit(peek(lexer, 1))) {
            fraction = true;
            continue;
        }
        if (!is_digit(c))
            break;
        if (fraction && c == '0') {
            ++n_zeros;
            continue;
        }
        for (; n_zeros > 0; --n_zeros, ++n_decimals) {
            if (__builtin_mul_overflow(mantissa, 10, &mantissa))
                return false;
        }
        if (__builtin_mul_overflow(mantissa, 10, &mantissa) ||
            __builtin_add_overflow(mantissa, c - '0', &mantissa))
            return false;
        n_decimals += fraction;
    }
    *ret_mantissa = mantissa;
    *ret_n_decimals = n_decimals;
    return true;
}

/* mantissa * 10^-n_decimals * unit, if it is a whole number of 64 bits. */
static bool scale(int64_t mantissa, unsigned n_decimals, int64_t unit, int64_t *ret_number)
{
    for (; n_decimals > 0 && unit % 10 == 0; --n_decimals)
        unit /= 10;
    for (; n_decimals > 0 && mantissa % 10 == 0; --n_decimals)
        mantissa /= 10;
    if (n_decimals > 0)
        return false;
    return !__builtin_mul_overflow(mantissa, unit, ret_number);
}

static bool duration_unit(const char *data, uint32_t length, kpi_duration *ret_unit)
{
    static const struct {
        const char *name;
        kpi_duration unit;
    } units[] = {
        {"ms", KPI_MILLISECOND}, {"s", KPI_SECOND}, {"m", KPI_MINUTE},
        {"h", KPI_HOUR},         {"d", KPI_DAY},    {"w", 7 * KPI_DAY},
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); ++i) {
        if (strlen(units[i].name) == length && memcmp(units[i].name, data, length) == 0) {
            *ret_unit = units[i].unit;
            return true;
        }
    }
    return false;
}

/*
 * Punctuation of Chinese input methods looks like that of the language and is none. Returns what
 * was probably meant, and how many bytes it is long.
 */
static const char *full_width(const struct kpi_lexer *lexer, uint32_t *ret_length)
{
    static const char *const pairs[][2] = {
        {"（", "("}, {"）", ")"}, {"，", ","},  {"、", ","}, {"＝", "="}, {"＜", "<"}, {"＞", ">"},
        {"“", "\""}, {"”", "\""}, {"‘", "'"},   {"’", "'"},  {"％", "%"}, {"／", "/"}, {"＋", "+"},
        {"－", "-"}, {"×", "*"},  {"÷", "/"},   {"≥", ">="}, {"≤", "<="}, {"≠", "!="}, {"【", "["},
        {"】", "]"}, {"＊", "*"}, {"！", "!="}, {"　", " "},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); ++i) {
        size_t length = strlen(pairs[i][0]);

        if (lexer->length - lexer->position >= length &&
            memcmp(lexer->data + lexer->position, pairs[i][0], length) == 0) {
            *ret_length = (uint32_t)length;
            return pairs[i][1];
        }
    }
    return NULL;
}

static void read_number(struct kpi_lexer *lexer, struct kpi_token *token)
{
    uint32_t start = lexer->position, unit_start, blanks = 0, length;
    unsigned n_decimals;
    kpi_duration unit;
    int64_t mantissa;

    if (!read_digits(lexer, &mantissa, &n_decimals)) {
        while (is_digit(peek(lexer, 0)))
            ++lexer->position;
        fail(lexer, token, lexer->position - start, "this number is too large");
        return;
    }
    unit_start = lexer->position;
    while (kpi_name_goes_on((unsigned char)peek(lexer, 0)) && !full_width(lexer, &length))
        ++lexer->position;
    token->length = lexer->position - start;
    if (lexer->position > unit_start) {
        token->kind = KPI_TOKEN_DURATION;
        if (!duration_unit(lexer->data + unit_start, lexer->position - unit_start, &unit))
            fail(lexer, token, token->length,
                 "a number is followed by nothing, %, or a unit of time: ms, s, m, h, d, w");
        else if (!scale(mantissa, n_decimals, unit, &token->number))
            fail(lexer, token, token->length,
                 "this duration is too large, or finer than a microsecond");
        return;
    }
    while (peek(lexer, blanks) == ' ')
        ++blanks;
    unit = KPI_DECIMAL_ONE;
    if (peek(lexer, blanks) == '%') {
        lexer->position += blanks + 1;
        token->length = lexer->position - start;
        unit = KPI_DECIMAL_ONE / 100;
    } else if (peek(lexer, 0) == '.') {
        fail(lexer, token, token->length + 1, "digits are missing behind the point");
        return;
    }
    token->kind = KPI_TOKEN_NUMBER;
    if (!scale(mantissa, n_decimals, unit, &token->number))
        fail(lexer, token, token->length, "this number is too large, or has more than 6 decimals");
}

static void read_string(struct kpi_lexer *lexer, struct kpi_token *token)
{
    uint32_t start = lexer->position++;
    char quote = lexer->data[start];

    token->kind = KPI_TOKEN_STRING;
    for (;; ++lexer->position) {
        unsigned char c = (unsigned char)peek(lexer, 0);

        if (lexer->position >= lexer->length) {
            fail(lexer, token, lexer->length - start, "this string is not closed");
            return;
        }
        if (c == (unsigned char)quote)
            break;
        if (c < 0x20 || c == 0x7f) {
            fail(lexer, token, lexer->position - start + 1,
                 "a control character cannot stand in a string");
            return;
        }
        if (c == '\\') {
            char escaped = peek(lexer, 1);

            if (escaped != '\\' && escaped != '"' && escaped != '\'') {
                fail(lexer, token, lexer->position - start + 1,
                     "a backslash in a string is followed by another one or by a quote");
                return;
            }
            token->number = 1;
            ++lexer->position;
        }
    }
    token->string = (struct kpi_string){lexer->data + start + 1, lexer->position - start - 1};
    token->length = ++lexer->position - start;
}

static void read_name(struct kpi_lexer *lexer, struct kpi_token *token)
{
    static const struct {
        const char *word;
        enum kpi_token_kind kind;
    } words[] = {
        {"and", KPI_TOKEN_AND},     {"or", KPI_TOKEN_OR}, {"not", KPI_TOKEN_NOT},
        {"in", KPI_TOKEN_IN},       {"of", KPI_TOKEN_OF}, {"true", KPI_TOKEN_TRUE},
        {"false", KPI_TOKEN_FALSE},
    };
    uint32_t start = lexer->position, length;

    /* A point stands inside the path of a nested field: props.sku. */
    while ((kpi_name_goes_on((unsigned char)peek(lexer, 0)) && !full_width(lexer, &length)) ||
           (peek(lexer, 0) == '.' && kpi_name_begins((unsigned char)peek(lexer, 1))))
        ++lexer->position;
    token->kind = KPI_TOKEN_NAME;
    token->length = lexer->position - start;
    token->string = (struct kpi_string){lexer->data + start, token->length};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); ++i) {
        if (strlen(words[i].word) == token->length &&
            memcmp(words[i].word, token->string.data, token->length) == 0)
            token->kind = words[i].kind;
    }
    if (token->length >
        (memchr(token->string.data, '.', token->length) ? KPI_PATH_BYTES_MAX : KPI_NAME_BYTES_MAX))
        fail(lexer, token, token->length,
             "a name has at most 64 bytes, a path of a field at most 256");
}

static void read_sign(struct kpi_lexer *lexer, struct kpi_token *token)
{
    static const struct {
        char text[3];
        enum kpi_token_kind kind;
    } signs[] = {
        {"==", KPI_TOKEN_EQUAL},         {"!=", KPI_TOKEN_NOT_EQUAL}, {"<=", KPI_TOKEN_LESS_EQUAL},
        {">=", KPI_TOKEN_GREATER_EQUAL}, {"<", KPI_TOKEN_LESS},       {">", KPI_TOKEN_GREATER},
        {"=", KPI_TOKEN_ASSIGN},         {"+", KPI_TOKEN_PLUS},       {"-", KPI_TOKEN_MINUS},
        {"*", KPI_TOKEN_STAR},           {"/", KPI_TOKEN_SLASH},      {",", KPI_TOKEN_COMMA},
        {"(", KPI_TOKEN_OPEN},           {")", KPI_TOKEN_CLOSE},      {"[", KPI_TOKEN_OPEN_LIST},
        {"]", KPI_TOKEN_CLOSE_LIST},
    };
    static const char *const foreign[][2] = {{"&&", "and"}, {"||", "or"}, {"!", "not"}};
    char a = peek(lexer, 0), b = peek(lexer, 1);

    for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); ++i) {
        if (signs[i].text[0] == a && (signs[i].text[1] == '\0' || signs[i].text[1] == b)) {
            token->kind = signs[i].kind;
            token->length = (uint32_t)strlen(signs[i].text);
            lexer->position += token->length;
            return;
        }
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); ++i) {
        if (foreign[i][0][0] == a && (foreign[i][0][1] == '\0' || foreign[i][0][1] == b)) {
            token->suggest = foreign[i][1];
            fail(lexer, token, (uint32_t)strlen(foreign[i][0]), "this sign is unknown here");
            return;
        }
    }
    fail(lexer, token, 1, "this character is unknown here");
}

void kpi_lexer_next(struct kpi_lexer *lexer, struct kpi_token *ret_token)
{
    const char *meant;
    uint32_t length;
    char c;

    for (;;) {
        c = peek(lexer, 0);
        if (lexer->position >= lexer->length || (c != ' ' && c != '\t' && c != '\n' && c != '\r'))
            break;
        ++lexer->position;
    }
    *ret_token = (struct kpi_token){.kind = KPI_TOKEN_END, .offset = lexer->position};
    if (lexer->position >= lexer->length)
        return;
    meant = full_width(lexer, &length);
    if (meant) {
        ret_token->suggest = meant;
        fail(lexer, ret_token, length, "this is a full-width sign; the language uses ASCII ones");
    } else if (is_digit(c)) {
        read_number(lexer, ret_token);
    } else if (c == '"' || c == '\'') {
        read_string(lexer, ret_token);
    } else if (kpi_name_begins((unsigned char)c)) {
        read_name(lexer, ret_token);
    } else {
        read_sign(lexer, ret_token);
    }
}
