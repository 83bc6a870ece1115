/* The part of DLPack's C interface by which tensors of a library that has it
 * are read without calling Python. Laid out as DLPack 1.3 says, whose major
 * version alone may change what stands here. torch has the table of functions
 * since 2.10, in a capsule of that name on its class of tensors.
 */
#ifndef TREC_EXTENSION_DLPACK_H
#define TREC_EXTENSION_DLPACK_H

#include <stdint.h>

enum { DLPACK_MAJOR = 1 };
#define DLPACK_EXCHANGE_CAPSULE "dlpack_exchange_api"

/* Devices, and kinds of elements, that matter here. */
enum { DLPACK_CPU = 1, DLPACK_CUDA = 2 };
enum { DLPACK_INT = 0, DLPACK_FLOAT = 2 };

struct dlpack_device {
  int32_t type;
  int32_t index;
};

struct dlpack_element {
  uint8_t kind;
  uint8_t bits;
  uint16_t lanes;
};

/* What a tensor's owner says of it; arrays are the owner's, and may go with the
 * tensor. */
struct dlpack_tensor {
  void *data;
  struct dlpack_device device;
  int32_t num_dims;
  struct dlpack_element element;
  int64_t *shape;
  int64_t *strides; /* in elements */
  uint64_t byte_offset;
};

struct dlpack_header {
  uint32_t major;
  uint32_t minor;
  const struct dlpack_header
      *older; /* the same for an older major version, or NULL */
};

/* Functions return 0, or -1 with a Python exception set. Those that hand over
 * ownership are not used. */
struct dlpack_exchange {
  struct dlpack_header header;
  void (*allocate)(void);
  void (*from_object)(void);
  void (*to_object)(void);
  int (*view)(
      void *object,
      struct dlpack_tensor *result); /* NULL where the library has none */
  int (*current_stream)(int32_t device_type, int32_t device_index,
                        void **result);
};

#endif
