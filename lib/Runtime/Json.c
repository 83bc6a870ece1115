/* See Json.h. */
#define TREC_JSON_IMPLEMENTATION
#include "Json.h"

#include <stdlib.h>
#include <string.h>

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

int trec_json_parse(struct trec_json *json, const char *text, size_t length, size_t *position) {
  jsmn_parser parser;
  *json = (struct trec_json){.text = text, .length = length};
  jsmn_init(&parser);
  int count = jsmn_parse(&parser, text, length, NULL, 0);
  *position = parser.pos;
  if (count <= 0)
    return TREC_JSON_MALFORMED;
  json->tokens = malloc((size_t)count * sizeof *json->tokens);
  if (!json->tokens)
    return TREC_JSON_OUT_OF_MEMORY;
  jsmn_init(&parser);
  json->count = jsmn_parse(&parser, text, length, json->tokens, (unsigned)count);
  *position = parser.pos;
  if (json->count > 0 && json->tokens[0].type == JSMN_OBJECT) {
    size_t rest = (size_t)json->tokens[0].end;
    while (rest < length && is_space(text[rest]))
      ++rest;
    *position = rest;
    if (rest == length)
      return TREC_JSON_OK;
  }
  trec_json_free(json);
  return TREC_JSON_MALFORMED;
}

void trec_json_free(struct trec_json *json) {
  free(json->tokens);
  json->tokens = NULL;
}

/* Where a token's text begins and ends; jsmn leaves the quotes out of a string. */
static int begin_of(const struct trec_json *json, int token) {
  return json->tokens[token].start - (json->tokens[token].type == JSMN_STRING);
}
static int end_of(const struct trec_json *json, int token) {
  return json->tokens[token].end + (json->tokens[token].type == JSMN_STRING);
}

/* Is the text in [from, to) white but for one `separator`, or all white where that is 0? */
static int is_gap(const struct trec_json *json, int from, int to, char separator) {
  int found = 0;
  for (int i = from; i < to; ++i) {
    if (separator && json->text[i] == separator)
      ++found;
    else if (!is_space(json->text[i]))
      return 0;
  }
  return found == (separator != 0);
}

/* The first token after `token` and all that it holds. */
static int after(const struct trec_json *json, int token) {
  const int end = json->tokens[token].end;
  do
    ++token;
  while (token < json->count && json->tokens[token].start < end);
  return token;
}

int trec_json_next_member(const struct trec_json *json, int object, int *key) {
  const int first = *key == object;
  const int next = first ? object + 1 : after(json, *key + 1);
  const int gap = first ? json->tokens[object].start + 1 : end_of(json, *key + 1);
  const int end = json->tokens[object].end;
  if (next >= json->count || json->tokens[next].start >= end)
    return is_gap(json, gap, end - 1, 0) ? 0 : -1;
  if (json->tokens[next].type != JSMN_STRING || json->tokens[next].size != 1)
    return -1;
  if (!is_gap(json, gap, begin_of(json, next), first ? 0 : ','))
    return -1;
  *key = next;
  return is_gap(json, end_of(json, next), begin_of(json, next + 1), ':') ? 1 : -1;
}

int trec_json_is(const struct trec_json *json, int token, const char *text) {
  const jsmntok_t *t = &json->tokens[token];
  size_t length = strlen(text);
  return t->type == JSMN_STRING && (size_t)(t->end - t->start) == length &&
         !memcmp(json->text + t->start, text, length);
}

static int read_integer(const struct trec_json *json, int token, uint64_t *value) {
  const jsmntok_t *t = &json->tokens[token];
  if (t->type != JSMN_PRIMITIVE)
    return 0;
  *value = 0;
  for (int i = t->start; i < t->end; ++i) {
    if (json->text[i] < '0' || json->text[i] > '9')
      return 0;
    if (__builtin_mul_overflow(*value, 10u, value) || __builtin_add_overflow(*value, json->text[i] - '0', value))
      return 0;
  }
  return 1;
}

int trec_json_integers(const struct trec_json *json, int token, uint64_t *values, int count) {
  const jsmntok_t *array = &json->tokens[token];
  if (array->type != JSMN_ARRAY || array->size != count || token + count >= json->count)
    return 0;
  int gap = array->start + 1;
  for (int i = 0; i < count; ++i) {
    const int element = token + 1 + i;
    if (!is_gap(json, gap, begin_of(json, element), i ? ',' : 0) || !read_integer(json, element, &values[i]))
      return 0;
    gap = end_of(json, element);
  }
  return is_gap(json, gap, array->end - 1, 0);
}

/* Four hexadecimal digits, which jsmn has checked; -1 where the text ends before them. */
static int32_t read_hex(const char *text, const char *end) {
  int32_t code = 0;
  if (end - text < 4)
    return -1;
  for (int i = 0; i < 4; ++i)
    code = code << 4 | (text[i] <= '9' ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10);
  return code;
}

/* Reads what follows "\u", a surrogate pair as one character; the bytes read, or 0. */
static int read_unicode(const char *text, const char *end, int32_t *code) {
  *code = read_hex(text, end);
  if (*code < 0xd800 || *code > 0xdfff)
    return *code < 0 ? 0 : 4;
  if (*code > 0xdbff || end - text < 10 || text[4] != '\\' || text[5] != 'u')
    return 0;
  const int32_t low = read_hex(text + 6, end);
  if (low < 0xdc00 || low > 0xdfff)
    return 0;
  *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
  return 10;
}

static char *write_utf8(char *out, int32_t code) {
  const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
  *out++ = (char)(lead[more] | code >> 6 * more);
  for (int i = more - 1; i >= 0; --i)
    *out++ = (char)(0x80 | (code >> 6 * i & 0x3f));
  return out;
}

static char plain_escape(char c) {
  static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
  const char *found = memchr(from, c, sizeof from - 1);
  return found ? to[found - from] : c;
}

ptrdiff_t trec_json_string(const struct trec_json *json, int token, char *out) {
  const char *in = json->text + json->tokens[token].start, *end = json->text + json->tokens[token].end;
  const char *begin = out;
  while (in < end) {
    int32_t code;
    int length;
    if (*in != '\\' || end - in < 2) {
      *out++ = *in++;
    } else if (in[1] != 'u') {
      *out++ = plain_escape(in[1]);
      in += 2;
    } else if ((length = read_unicode(in + 2, end, &code))) {
      out = write_utf8(out, code);
      in += 2 + length;
    } else {
      return -1;
    }
  }
  *out = '\0';
  return out - begin;
}
