/* A weights file in memory: mapped, or copied to huge pages. */
#ifndef TREC_RUNTIME_WEIGHTS_FILE_H
#define TREC_RUNTIME_WEIGHTS_FILE_H

#include "Model.h"
#include "Safetensors.h"

/* Brings the file at options->weights_path into memory as options->pages says, and points `file` to it. What is to be
 * given back, also after an error, is in model->mapping; how it came about in model->pages and model->pages_reason. */
int32_t trec_read_weights_file(trec_model *model, const trec_create_options *options, struct trec_safetensors *file,
                               trec_error *error);

#endif /* TREC_RUNTIME_WEIGHTS_FILE_H */
