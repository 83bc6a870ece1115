/* Filling trec_error, and reading structs from callers that know an older, shorter version of them.
 *
 * Inside the runtime errors are written to a full-size local trec_error; only trec_error_give touches the caller's, and
 * never beyond the size that the caller says it has.
 */
#ifndef TREC_RUNTIME_ERROR_H
#define TREC_RUNTIME_ERROR_H

#include "trec/Runtime/ModelABI.h"

/* Larger sizes than this are taken for an uninitialised struct. */
enum { TREC_MAX_STRUCT_BYTES = 4096 };

/* A name or path made fit for a one-line message. */
struct trec_shown {
  char text[128];
};

/* No error yet: status 0, empty message, every number -1. */
void trec_error_reset(trec_error *error);

/* Sets status and message, leaves the numbers, returns status. */
int32_t trec_fail(trec_error *error, int32_t status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copies to the caller what fits; to may be NULL. */
void trec_error_give(trec_error *to, const trec_error *from);

/* Long texts lose their middle, control characters become '?'; characters of several bytes stay whole. */
struct trec_shown trec_show(const char *text);

/* Reads a caller's struct into `known` zeroed bytes; 0 where `from` has no credible size. */
int trec_read_struct(void *to, size_t known, const void *from);

/* Fills a caller's struct, but for its size, from `known` bytes; 0 where it has no credible size. */
int trec_give_struct(void *to, size_t known, const void *from);

#endif /* TREC_RUNTIME_ERROR_H */
