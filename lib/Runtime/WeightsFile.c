/* See WeightsFile.h. */
#include "WeightsFile.h"
#include "Error.h"
#include "SystemMemory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A read is long enough to be as fast as the file system, short enough to tell how far it has come. */
enum { HUGE_PAGE = 2 << 20, READ_BYTES = 16 << 20 };

struct opened {
  int descriptor;
  struct stat status;
};

static int32_t io_error(trec_error *error, const char *origin, const char *what) {
  const char *reason = strerrordesc_np(errno);
  return trec_fail(error, TREC_IO_ERROR, "%s: cannot %s: %s", origin, what, reason ? reason : "unknown error");
}

/* Opens a regular file. Does not wait for the writer of a named pipe. */
static int32_t open_file(const char *path, const char *origin, struct opened *opened, trec_error *error) {
  opened->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (opened->descriptor < 0)
    return io_error(error, origin, "open");
  if (!fstat(opened->descriptor, &opened->status) && S_ISREG(opened->status.st_mode))
    return TREC_OK;
  close(opened->descriptor);
  return trec_fail(error, TREC_IO_ERROR, "%s: not a regular file", origin);
}

static int32_t map_file(trec_model *model, const struct opened *opened, struct trec_safetensors *file,
                        trec_error *error) {
  void *bytes = mmap(NULL, file->size, PROT_READ, MAP_SHARED, opened->descriptor, 0);
  if (bytes == MAP_FAILED)
    return io_error(error, file->origin, "map");
  model->mapping = bytes;
  model->mapping_bytes = file->size;
  file->bytes = bytes;
  return TREC_OK;
}

static uint64_t round_up(uint64_t bytes) { return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; }

/* Memory that begins and ends with a huge page; NULL where there is none. That it is on huge pages is a wish. */
static uint8_t *reserve(uint64_t bytes) {
  const uint64_t needed = bytes + HUGE_PAGE;
  uint8_t *all = mmap(NULL, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED)
    return NULL;
  uint8_t *begin = (uint8_t *)round_up((uintptr_t)all);
  if (begin > all)
    munmap(all, (size_t)(begin - all));
  munmap(begin + bytes, (size_t)(all + needed - (begin + bytes)));
  madvise(begin, bytes, MADV_HUGEPAGE);
  return begin;
}

/* Reads all of the file to `bytes`. */
static int32_t read_file(const struct opened *opened, const trec_create_options *options, const char *origin,
                         uint8_t *bytes, trec_error *error) {
  const uint64_t size = (uint64_t)opened->status.st_size;
  uint64_t done = 0;
  while (done < size) {
    if (options->progress)
      options->progress(options->progress_user, done, size);
    const uint64_t left = size - done, wanted = left < READ_BYTES ? left : READ_BYTES;
    const ssize_t got = pread(opened->descriptor, bytes + done, wanted, (off_t)done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return io_error(error, origin, "read");
    if (!got)
      return trec_fail(error, TREC_IO_ERROR, "%s: ended at byte %" PRIu64 " of %" PRIu64 " while it was read", origin,
                       done, size);
    done += (uint64_t)got;
  }
  if (options->progress)
    options->progress(options->progress_user, done, size);
  return TREC_OK;
}

/* A file that was written to meanwhile would be a mixture of two. */
static int32_t check_unchanged(const struct opened *opened, const char *origin, trec_error *error) {
  const struct stat *before = &opened->status;
  struct stat now;
  if (fstat(opened->descriptor, &now))
    return io_error(error, origin, "read");
  if (now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == before->st_mtim.tv_nsec)
    return TREC_OK;
  return trec_fail(error, TREC_IO_ERROR, "%s: changed while it was read", origin);
}

static int32_t copy_file(trec_model *model, const struct opened *opened, const trec_create_options *options,
                         struct trec_safetensors *file, trec_error *error) {
  const int64_t available = trec_available_memory();
  if ((int64_t)file->size > available)
    return trec_fail(error, TREC_OUT_OF_MEMORY,
                     "%s: out of memory for a copy of %" PRIu64 " bytes: %" PRId64 " are available", file->origin,
                     file->size, available);
  uint8_t *bytes = reserve(round_up(file->size));
  if (!bytes)
    return trec_fail(error, TREC_OUT_OF_MEMORY, "%s: out of memory for a copy of %" PRIu64 " bytes", file->origin,
                     file->size);
  model->mapping = bytes;
  model->mapping_bytes = round_up(file->size);
  file->bytes = bytes;
  int32_t status = read_file(opened, options, file->origin, bytes, error);
  if (status == TREC_OK)
    status = check_unchanged(opened, file->origin, error);
  /* Nobody is to write to it, as nobody can to a mapping. */
  if (status == TREC_OK)
    mprotect(bytes, model->mapping_bytes, PROT_READ);
  return status;
}

/* Decides between TREC_PAGES_MAP and TREC_PAGES_HUGE, and says why. */
static void choose_pages(trec_model *model, const trec_create_options *options, uint64_t bytes) {
  model->pages = options->pages;
  model->pages_reason = "asked for";
  if (options->pages != TREC_PAGES_AUTO)
    return;
  model->pages = TREC_PAGES_MAP;
  if (options->device == TREC_DEVICE_CUDA)
    model->pages_reason = "auto: the GPU gets the tables";
  else if (bytes < TREC_PAGES_AUTO_BYTES)
    model->pages_reason = "auto: a small file";
  else if (!trec_has_huge_pages())
    model->pages_reason = "auto: the system has no huge pages";
  else if ((int64_t)bytes > trec_available_memory() / 4 * 3)
    model->pages_reason = "auto: too little memory is available";
  else {
    model->pages = TREC_PAGES_HUGE;
    model->pages_reason = "auto: a large file, and enough memory";
  }
}

int32_t trec_read_weights_file(trec_model *model, const trec_create_options *options, struct trec_safetensors *file,
                               trec_error *error) {
  struct opened opened;
  int32_t status = open_file(options->weights_path, file->origin, &opened, error);
  if (status != TREC_OK)
    return status;
  file->size = model->file_bytes = (uint64_t)opened.status.st_size;
  choose_pages(model, options, file->size);
  if (file->size) /* an empty one is refused by its size */
    status = model->pages == TREC_PAGES_MAP ? map_file(model, &opened, file, error)
                                            : copy_file(model, &opened, options, file, error);
  close(opened.descriptor);
  return status;
}
