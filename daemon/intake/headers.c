/* Headers of records: librdkafka parses them when they are asked for, and not before. */
#include "intake/intake.h"

#include "codec/event_json.h"

uint32_t intake_headers(const rd_kafka_message_t *message, struct event_header *ret_headers)
{
    rd_kafka_headers_t *headers;
    uint32_t n = 0;

    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    while (n < INTAKE_HEADERS_MAX &&
           rd_kafka_header_get_all(headers, n, &ret_headers[n].name, &ret_headers[n].value,
                                   &ret_headers[n].size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        n++;
    return n;
}
