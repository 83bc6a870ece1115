/* What tests set inside of a model, whose struct C++ cannot read. */
#include "ModelAccess.h"
#include "Model.h"

void trectest_set_short_bag(trec_model *model, int64_t ids) { model->short_bag = ids; }
