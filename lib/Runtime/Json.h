/* The few questions that the safetensors reader asks of a JSON text, over jsmn's tokens.
 *
 * jsmn splits a text into tokens and checks little of the grammar between them; the walkers here check the separators
 * of what they pass, so that a damaged header is refused and not read as something else.
 */
#ifndef TREC_RUNTIME_JSON_H
#define TREC_RUNTIME_JSON_H

#include <stddef.h>
#include <stdint.h>

#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#ifdef TREC_JSON_IMPLEMENTATION
#define JSMN_STATIC
#else
#define JSMN_HEADER
#endif
#include <jsmn.h>

struct trec_json {
  const char *text;
  size_t length;
  jsmntok_t *tokens; /* [0] is the root */
  int count;
};

enum { TREC_JSON_OK, TREC_JSON_MALFORMED, TREC_JSON_OUT_OF_MEMORY };

/* Splits a text whose root is an object. On TREC_JSON_MALFORMED, *position is the byte where reading stopped. */
int trec_json_parse(struct trec_json *json, const char *text, size_t length, size_t *position);
void trec_json_free(struct trec_json *json);

/* Steps to the next member of an object: *key is the object's own token before the first call and the member's key
 * after each. 1: there is one, its value is token *key + 1; 0: no more; -1: malformed here. */
int trec_json_next_member(const struct trec_json *json, int object, int *key);

/* Is the token a string that is spelt so, without escapes? */
int trec_json_is(const struct trec_json *json, int token, const char *text);

/* Reads an array of exactly `count` unsigned integers; 0 where the token is not one. */
int trec_json_integers(const struct trec_json *json, int token, uint64_t *values, int count);

/* Writes the string with escapes resolved and a NUL after it; the length, or -1 for half a surrogate pair. `out` has
 * room for the token's length and the NUL. */
ptrdiff_t trec_json_string(const struct trec_json *json, int token, char *out);

#endif /* TREC_RUNTIME_JSON_H */
