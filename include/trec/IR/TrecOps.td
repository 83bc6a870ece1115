//===- TrecOps.td - All ops of the trec dialect -------------------*- tablegen -*-===//
//
// What TableGen is run on; each family of ops has its own file.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECOPS_TD
#define TREC_IR_TRECOPS_TD

include "trec/IR/TrecTableOps.td"
include "trec/IR/TrecJaggedOps.td"
include "trec/IR/TrecPoolingOps.td"
include "trec/IR/TrecFusedOps.td"

#endif // TREC_IR_TRECOPS_TD
