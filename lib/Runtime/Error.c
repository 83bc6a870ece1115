/* See Error.h. */
#include "Error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void trec_error_reset(trec_error *error) {
  error->size = sizeof *error;
  error->status = TREC_OK;
  error->reserved = 0;
  error->feature = error->table = error->sample = error->position = error->value = error->limit = -1;
  error->message[0] = '\0';
}

static int continues_character(char byte) { return ((unsigned char)byte & 0xc0) == 0x80; }

/* Copies as much as fits without cutting a UTF-8 character in two. */
static void copy_text(char *to, size_t room, const char *from) {
  size_t length = strlen(from);
  if (length >= room) {
    length = room - 1;
    while (length > 0 && continues_character(from[length]))
      --length;
  }
  memcpy(to, from, length);
  to[length] = '\0';
}

int32_t trec_fail(trec_error *error, int32_t status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  error->status = status;
  return status;
}

void trec_error_give(trec_error *to, const trec_error *from) {
  const size_t head = offsetof(trec_error, message);
  if (!to || to->size > TREC_MAX_STRUCT_BYTES || to->size < offsetof(trec_error, reserved))
    return;
  size_t size = to->size < sizeof *to ? to->size : sizeof *to;
  size_t numbers = size < head ? size : head;
  memcpy((char *)to + sizeof to->size, (const char *)from + sizeof from->size, numbers - sizeof to->size);
  if (size > head)
    copy_text(to->message, size - head, from->message);
}

struct trec_shown trec_show(const char *text) {
  struct trec_shown shown;
  size_t length = strlen(text), room = sizeof shown.text;
  if (length < room) {
    memcpy(shown.text, text, length + 1);
  } else {
    copy_text(shown.text, room / 2, text);
    const char *tail = text + length - (room / 2 - 4);
    while (continues_character(*tail))
      ++tail;
    size_t kept = strlen(shown.text);
    snprintf(shown.text + kept, room - kept, "...%s", tail);
  }
  for (char *c = shown.text; *c; ++c)
    if ((unsigned char)*c < 0x20 || *c == 0x7f)
      *c = '?';
  return shown;
}

int trec_read_struct(void *to, size_t known, const void *from) {
  size_t given = *(const size_t *)from;
  if (given < sizeof given || given > TREC_MAX_STRUCT_BYTES)
    return 0;
  memset(to, 0, known);
  memcpy(to, from, given < known ? given : known);
  return 1;
}

int trec_give_struct(void *to, size_t known, const void *from) {
  const size_t given = *(const size_t *)to;
  if (given < sizeof given || given > TREC_MAX_STRUCT_BYTES)
    return 0;
  memcpy((char *)to + sizeof given, (const char *)from + sizeof given, (given < known ? given : known) - sizeof given);
  return 1;
}
