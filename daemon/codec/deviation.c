/* Deviations to text and figures. */
#include "codec/deviation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void deviation_format(char ret_text[DEVIATION_TEXT_BYTES_MAX], const struct kpi_target *target,
                      enum kpi_unit unit)
{
    /* It was read from a decimal, beside which the double has no more than noise. */
    kpi_decimal amount = (kpi_decimal)(target->deviation_amount * (double)KPI_DECIMAL_ONE + 0.5);
    const char *suffix = "";

    switch (target->deviation) {
    case KPI_DEVIATION_DEFAULT:
    case KPI_DEVIATION_RELATIVE:
        amount *= 100;
        suffix = "%";
        break;
    case KPI_DEVIATION_POINTS:
        amount *= unit == KPI_UNIT_RATIO ? 100 : 1;
        suffix = "pp";
        break;
    case KPI_DEVIATION_ABSOLUTE:
        suffix = unit == KPI_UNIT_DURATION ? "s" : "";
        break;
    case KPI_DEVIATION_FACTOR:
        suffix = "x";
        break;
    }
    (void)strcpy(ret_text + value_text_format_decimal(amount, ret_text), suffix);
}

/* The result of a subtraction or division, whose last bits mean nothing (-10.1 is -10.0999…98). */
static double rounded(double value)
{
    char text[VALUE_TEXT_BYTES_MAX];

    (void)snprintf(text, sizeof(text), "%.12g", value);
    return strtod(text, NULL);
}

unsigned deviation_figures(struct deviation_figure ret_figures[DEVIATION_FIGURES_MAX],
                           const struct kpi_target *target, enum kpi_unit unit, double value)
{
    const double off = value - target->value;
    const bool in_points = unit == KPI_UNIT_RATIO || unit == KPI_UNIT_POINTS;
    const struct deviation_figure figures[DEVIATION_FIGURES_MAX] = {
        {in_points ? "deviation_points" : "deviation_amount",
         rounded(unit == KPI_UNIT_RATIO ? 100 * off : off)},
        {"deviation_ratio", rounded(off / fabs(target->value))},
        {"deviation_factor", rounded(value / target->value)},
    };

    memcpy(ret_figures, figures, sizeof(figures));
    return target->deviation == KPI_DEVIATION_FACTOR ? 3 : 2;
}
