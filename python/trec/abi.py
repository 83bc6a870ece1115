"""ctypes mirror of include/trec/Runtime/ModelABI.h; test/python/test_abi.py holds it to the C header.

Only what Python fills or reads is named. `FORWARD_ARGS` and `BATCH` pack a whole struct in one call, which costs a
fifth of setting its fields one by one.
"""

import ctypes
import struct
from ctypes import POINTER, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

ABI_VERSION = 1
QUERY_SYMBOL = "trec_model_query"

OK, INVALID_ARGUMENT, INVALID_INPUT, OUT_OF_BOUNDS, WEIGHTS_MISMATCH, IO_ERROR = range(6)
OUT_OF_MEMORY, UNSUPPORTED_CPU, VERSION_MISMATCH, UNSUPPORTED_GPU, GPU_ERROR = range(6, 11)

DEVICE_CPU, DEVICE_CUDA = range(2)
# Elements of workspace that a GPU needs besides offsets: TREC_GPU_SCAN_BLOCKS of DeviceABI.h.
GPU_SCAN_BLOCKS = 1024

INT32, INT64, FLOAT32, FLOAT16, BFLOAT16, UINT8 = range(1, 7)

PAGES = {"map": 0, "huge": 1, "auto": 2}
EXACTNESS = {"auto": 0, "check": 1, "off": 2}
PLACES = {"auto": 0, "device": 1, "host": 2, "callers": 3}
BOUNDS = {None: 0, "fatal": 1, "warning": 2, "ignore": 3, "none": 4}


class Error(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("status", c_int32),
        ("reserved", c_int32),
        ("feature", c_int64),
        ("table", c_int64),
        ("sample", c_int64),
        ("position", c_int64),
        ("value", c_int64),
        ("limit", c_int64),
        ("message", c_char * 512),
    ]


class TableData(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("rows", c_int64), ("row_bytes", c_int64)]


ParallelFor = ctypes.CFUNCTYPE(None, c_void_p, c_int64, c_void_p, c_void_p)
Warning_ = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Error))
Progress = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)


class CreateOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("weights_path", c_char_p),
        ("weights_data", c_void_p),
        ("weights_bytes", c_uint64),
        ("tables", POINTER(TableData)),
        ("num_tables", c_int64),
        ("bounds_check", c_int32),
        ("threads", c_int32),
        ("parallel_for", ParallelFor),
        ("parallel_for_user", c_void_p),
        ("warning", Warning_),
        ("warning_user", c_void_p),
        ("parameters", POINTER(TableData)),
        ("num_parameters", c_int64),
        ("device", c_int32),
        ("device_index", c_int32),
        ("tables_location", c_int32),
        ("pages", c_int32),
        ("progress", Progress),
        ("progress_user", c_void_p),
        ("exactness", c_int32),
        ("l2_fetch_bytes", c_int32),
        ("placements", POINTER(c_int32)),
        ("num_placements", c_int64),
        ("device_bytes", c_uint64),
        ("l2_persist_bytes", c_uint64),
    ]


class ForwardArgs(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("batch_size", c_int64),
        ("num_keys", c_int64),
        ("slots", c_void_p),
        ("values", c_void_p),
        ("num_values", c_int64),
        ("lengths", c_void_p),
        ("offsets", c_void_p),
        ("weights", c_void_p),
        ("num_weights", c_int64),
        ("output", c_void_p),
        ("output_bytes", c_uint64),
        ("output_row_stride", c_int64),
        ("workspace", c_void_p),
        ("workspace_bytes", c_uint64),
        ("values_type", c_int32),
        ("lengths_type", c_int32),
        ("offsets_type", c_int32),
        ("reserved", c_int32),
        ("outputs", c_void_p),
        ("outputs_bytes", c_void_p),
        ("batches", c_void_p),
        ("num_batches", c_int64),
        ("stream", c_void_p),
    ]


class Batch(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("num_keys", c_int64),
        ("slots", c_void_p),
        ("values", c_void_p),
        ("num_values", c_int64),
        ("lengths", c_void_p),
        ("offsets", c_void_p),
        ("weights", c_void_p),
        ("num_weights", c_int64),
        ("values_type", c_int32),
        ("lengths_type", c_int32),
        ("offsets_type", c_int32),
        ("reserved", c_int32),
    ]


FORWARD_ARGS = struct.Struct("=QqqQQqQQQqQQqQQiiiiQQQqQ")
BATCH = struct.Struct("=QqQQqQQQqiiii")


class Counters(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("forwards", c_int64), ("bad_ids", c_int64), ("failed", c_int64)]


class WeightsInfo(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("pages", c_int32),
        ("reserved", c_int32),
        ("data", c_void_p),
        ("bytes", c_uint64),
        ("reason", c_char_p),
    ]


class TableInfo(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("place", c_int32),
        ("reserved", c_int32),
        ("bytes", c_uint64),
        ("persistent_bytes", c_uint64),
    ]


Create = ctypes.CFUNCTYPE(c_int32, POINTER(CreateOptions), POINTER(c_void_p), POINTER(Error))
Destroy = ctypes.CFUNCTYPE(None, c_void_p)
WorkspaceSize = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int64, c_int64, POINTER(c_uint64), POINTER(Error))
# Plain addresses: a POINTER argument would be checked and converted on every call.
Forward = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p)
GetCounters = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Counters))
CPULevel = ctypes.CFUNCTYPE(c_char_p, c_void_p)
Poll = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Error))
GetWeightsInfo = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(WeightsInfo))
CheckExactness = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Error))
CertifiedLength = ctypes.CFUNCTYPE(c_int64, c_void_p, c_int64)
GetTableInfo = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int64, POINTER(TableInfo))


class Api(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("abi_version", c_uint32),
        ("reserved", c_uint32),
        ("metadata", c_char_p),
        ("metadata_bytes", c_uint64),
        ("ir", c_void_p),
        ("ir_bytes", c_uint64),
        ("create", Create),
        ("destroy", Destroy),
        ("workspace_size", WorkspaceSize),
        ("forward", Forward),
        ("counters", GetCounters),
        ("cpu_level", CPULevel),
        ("poll", Poll),
        ("weights_info", GetWeightsInfo),
        ("check_exactness", CheckExactness),
        ("certified_length", CertifiedLength),
        ("table_info", GetTableInfo),
    ]


Query = ctypes.CFUNCTYPE(POINTER(Api), c_uint32, POINTER(Error))
