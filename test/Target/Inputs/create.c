/* Creates a model without saying where its weights are, and prints how that went. -include gives it its header. */
#include <stdio.h>

int main(void) {
  trec_error error = {.size = sizeof error};
  trec_create_options options = {.size = sizeof options};
  trec_model *model = NULL;
  const trec_api *api = trec_model_query(TREC_ABI_VERSION, &error);
  int status = api->create(&options, &model, &error);
  printf("status %d: %s\n", status, error.message);
  api->destroy(model);
  return 0;
}
