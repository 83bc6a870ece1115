/* See SystemMemory.h. All of it is text in files, which may be missing. */
#include "SystemMemory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };
static const char groups_directory[] = "/sys/fs/cgroup";

/* A file's beginning; the empty text where it cannot be read. */
struct text {
  char bytes[4096];
};

static struct text read_text(const char *path) {
  struct text text;
  size_t used = 0;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  while (file >= 0 && used < sizeof text.bytes - 1) {
    const ssize_t got = read(file, text.bytes + used, sizeof text.bytes - 1 - used);
    if (got <= 0)
      break;
    used += (size_t)got;
  }
  if (file >= 0)
    close(file);
  text.bytes[used] = 0;
  return text;
}

/* The number that text begins with after blanks; -1 where there is none. */
static int64_t read_number(const char *text) {
  while (*text == ' ')
    ++text;
  if (*text < '0' || *text > '9')
    return -1;
  int64_t number = 0;
  for (; *text >= '0' && *text <= '9'; ++text)
    if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
      return INT64_MAX;
  return number;
}

/* The number behind `name` in lines of names and numbers; -1 where there is none. */
static int64_t find_number(const struct text *text, const char *name) {
  const char *found = strstr(text->bytes, name);
  return found ? read_number(found + strlen(name)) : -1;
}

/* What a control group has left; pages that only cache files can be given up. */
static int64_t left_in_group(const char *group) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/memory.max", group);
  const struct text limit = read_text(path);
  snprintf(path, sizeof path, "%s/memory.current", group);
  const struct text used = read_text(path);
  snprintf(path, sizeof path, "%s/memory.stat", group);
  const struct text kinds = read_text(path);
  const int64_t most = read_number(limit.bytes), current = read_number(used.bytes);
  if (most < 0 || current < 0)
    return INT64_MAX;
  const int64_t cold = find_number(&kinds, "\ninactive_file "), warm = find_number(&kinds, "\nactive_file ");
  const int64_t left = most - current + (cold > 0 ? cold : 0) + (warm > 0 ? warm : 0);
  return left > 0 ? left : 0;
}

/* A group has no more than those above it. */
static int64_t left_in_groups(void) {
  const struct text groups = read_text("/proc/self/cgroup");
  const char *own = strstr(groups.bytes, "0::/");
  char group[PATH_BYTES / 2];
  if (!own)
    return INT64_MAX;
  own += strlen("0::");
  const int length = (int)(strchr(own, '\n') ? strchr(own, '\n') - own : (int64_t)strlen(own));
  if (snprintf(group, sizeof group, "%s%.*s", groups_directory, length, own) >= (int)sizeof group)
    return INT64_MAX;
  int64_t left = INT64_MAX;
  while (strlen(group) >= strlen(groups_directory)) {
    const int64_t here = left_in_group(group);
    left = here < left ? here : left;
    *strrchr(group, '/') = 0;
  }
  return left;
}

int64_t trec_available_memory(void) {
  const struct text memory = read_text("/proc/meminfo");
  const int64_t kilobytes = find_number(&memory, "MemAvailable:");
  const int64_t free = kilobytes < 0 ? INT64_MAX : kilobytes * 1024, left = left_in_groups();
  return free < left ? free : left;
}

int trec_has_huge_pages(void) {
  const struct text enabled = read_text("/sys/kernel/mm/transparent_hugepage/enabled");
  return strstr(enabled.bytes, "[always]") || strstr(enabled.bytes, "[madvise]");
}
