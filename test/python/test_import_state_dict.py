"""trec-import with a module's saved state dict as weights: the files of trec.export, and what is refused."""

import pickle
import resource
import struct
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from archives import edit, save_traced
from conftest import assert_same, configs, make_kjt, make_quantized
from safetensors.torch import save_file
from torchrec.modules.embedding_configs import DataType, EmbeddingBagConfig

import trec
import trec.torch
from trec.compiler import find_tool
from trec.torch.collect import CollectOptions, collect


def write_spec(module, directory, weights, name="model"):
    spec = collect(module, "", CollectOptions()).spec
    spec.name, spec.weights = name, str(weights)
    path = directory / "spec.json"
    path.write_text(spec.to_json(), encoding="utf-8")
    return path


def run(spec, output, **options):
    return subprocess.run([find_tool("trec-import"), spec, "-o", output], capture_output=True, text=True, **options)


def assert_imports(module, weights, tmp_path, name="model"):
    """The same weights as trec.export writes, byte for byte, and the same outputs as the module's."""
    result = run(write_spec(module, tmp_path, weights, name), tmp_path / "imported")
    assert result.returncode == 0, result.stderr
    trec.export(module, tmp_path / "exported")
    expected = (tmp_path / "exported" / "model.safetensors").read_bytes()
    assert (tmp_path / "imported" / "model.safetensors").read_bytes() == expected
    kjt = make_kjt(batch=5, weighted=module.is_weighted())
    assert_same(trec.torch.load(tmp_path / "imported")(kjt), module(kjt))


def assert_refused(module, weights, tmp_path, *parts, **options):
    result = run(write_spec(module, tmp_path, weights), tmp_path / "imported", **options)
    assert result.returncode == 1, (result.returncode, result.stderr)
    assert result.stderr.startswith(f"trec-import: error: {weights}: ") and result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr, result.stderr
    assert not (tmp_path / "imported").exists()


def table_of(name, dim, feature, data_type):
    return EmbeddingBagConfig(
        name=name, num_embeddings=20, embedding_dim=dim, feature_names=[feature], data_type=data_type
    )


TABLES = [
    *configs(),
    table_of("packed", 16, "ad", DataType.INT2),
    table_of("plain", 3, "page", DataType.FP32),
]


def raw(state):
    """Without TorchRec's types for packed integers, which safetensors does not know, and each with its own bytes."""
    return {
        name: (value if type(value) is torch.Tensor else value.view(torch.uint8)).clone().contiguous()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("register", [False, True])
def test_saved_state_dict(tmp_path, weighted, register):
    """With INT4 and INT2 tables as the types that torch itself cannot load without TorchRec."""
    module = make_quantized(TABLES, weighted=weighted, register_tbes=register)
    torch.save(module.state_dict(), tmp_path / "state.pt")
    assert_imports(module, tmp_path / "state.pt", tmp_path)


@pytest.mark.parametrize("alignment", [4, 16])
def test_split_scale_and_bias(tmp_path, alignment):
    module = make_quantized(TABLES, quant_state_dict_split_scale_bias=True, row_alignment=alignment)
    state = raw(module.state_dict())
    assert "embedding_bags.ads.weight_qscale" in state
    torch.save(state, tmp_path / "state.pt")
    assert_imports(module, tmp_path / "state.pt", tmp_path)
    save_file(state, tmp_path / "state.safetensors")
    assert_imports(module, tmp_path / "state.safetensors", tmp_path)


def test_views_of_one_storage(tmp_path):
    """The rows of a split state dict as they lie: strided views of the padded rows."""
    module = make_quantized(configs()[:1], quant_state_dict_split_scale_bias=True)
    storage = module.embedding_bags["ads"].weight.untyped_storage()
    rows = torch.empty(0, dtype=torch.uint8).set_(storage)[: 40 * 32].view(40, 32)
    state = {
        "embedding_bags.ads.weight": rows[:, 4:20],
        "embedding_bags.ads.weight_qscale": module.embedding_bags["ads"].weight_qscale.clone(),
        "embedding_bags.ads.weight_qbias": module.embedding_bags["ads"].weight_qbias.clone(),
    }
    torch.save(state, tmp_path / "state.pt")
    result = run(write_spec(module, tmp_path, tmp_path / "state.pt"), tmp_path / "imported")
    assert result.returncode == 0, result.stderr
    trec.export(module, tmp_path / "exported")
    for file in ("model.mlir", "model.safetensors"):
        assert (tmp_path / "imported" / file).read_bytes() == (tmp_path / "exported" / file).read_bytes()


def test_safetensors(tmp_path):
    module = make_quantized(TABLES)
    save_file(raw(module.state_dict()), tmp_path / "state.safetensors")
    assert_imports(module, tmp_path / "state.safetensors", tmp_path)


def test_whole_model_and_checkpoint(tmp_path):
    """Names of modules in front, dicts around, other values among them."""
    module = make_quantized(TABLES)
    state = {f"sparse.bags.{name}": value for name, value in module.state_dict().items()}
    state["dense.weight"] = torch.nn.Parameter(torch.ones(2, 3))
    others = {"epoch": 2**40, "loss": 0.5, "done": True, "names": ["a", None], 3: "x", "tuple": (1, 2)}
    checkpoint = {**others, "state": state}
    torch.save(checkpoint, tmp_path / "state.pt")
    assert_imports(module, tmp_path / "state.pt", tmp_path)


def test_the_model_s_name_chooses_the_collection(tmp_path):
    modules = {"left": make_quantized(), "right": make_quantized(row_alignment=32)}
    state = {f"{key}.{name}": value for key, module in modules.items() for name, value in module.state_dict().items()}
    torch.save(state, tmp_path / "state.pt")
    for key, module in modules.items():
        assert_imports(module, tmp_path / "state.pt", tmp_path, key)
    (tmp_path / "imported").rename(tmp_path / "other")
    assert_refused(
        modules["left"], tmp_path / "state.pt", tmp_path,
        'table "ads": expected one tensor, got "left.embedding_bags.ads.weight" and "right.embedding_bags.ads.weight"',
    )  # fmt: skip


def test_float_values(tmp_path):
    """Tables of floats as a float module saves them."""
    for data_type, kind in ((DataType.FP32, torch.float32), (DataType.FP16, torch.float16)):
        module = make_quantized([table_of("t", 3, "page", data_type)])
        values = module.embedding_bags["t"].weight[:, : 3 * kind.itemsize].clone().view(kind)
        torch.save({"embedding_bags.t.weight": torch.nn.Parameter(values)}, tmp_path / "state.pt")
        assert_imports(module, tmp_path / "state.pt", tmp_path)


def test_no_tensor(tmp_path):
    torch.save({"other": torch.ones(2), "embedding_bags.ads.bias": torch.ones(1)}, tmp_path / "state.pt")
    assert_refused(
        make_quantized(), tmp_path / "state.pt", tmp_path,
        'no tensor for table "ads" among its 2 tensors; expected one named "ads" or "embedding_bags.ads.weight"',
    )  # fmt: skip


SHAPES = {
    "rows": (torch.zeros(39, 32, dtype=torch.uint8), 'got "embedding_bags.ads.weight" of U8 [39, 32]'),
    "bytes": (torch.zeros(40, 31, dtype=torch.uint8), "expected 40 rows of 32 bytes (U8)"),
    "codes alone": (torch.zeros(40, 16, dtype=torch.uint8), "or their values with weight_qscale and weight_qbias"),
    "float": (torch.zeros(40, 16), "of F32 [40, 16]"),
    "vector": (torch.zeros(40, dtype=torch.uint8), "of U8 [40]"),
    "scalar": (torch.zeros((), dtype=torch.uint8), "of U8 []"),
    "columns": (torch.zeros(32, 40, dtype=torch.uint8).t(), "of U8 [40, 32]"),
    "overlap": (torch.zeros(1, 32, dtype=torch.uint8).expand(40, 32), "of U8 [40, 32]"),
}


@pytest.mark.parametrize("what", SHAPES)
def test_shapes(tmp_path, what):
    tensor, expected = SHAPES[what]
    torch.save({"embedding_bags.ads.weight": tensor}, tmp_path / "state.pt")
    assert_refused(make_quantized(configs()[:1]), tmp_path / "state.pt", tmp_path, 'table "ads": ', expected)


def test_halves_of_the_header(tmp_path):
    module = make_quantized(configs()[:1], quant_state_dict_split_scale_bias=True)
    state = raw(module.state_dict())
    for name, change in [
        ("embedding_bags.ads.weight_qscale", lambda t: t.float()),
        ("embedding_bags.ads.weight_qbias", lambda t: t[:39].clone()),
    ]:
        torch.save({**state, name: change(state[name])}, tmp_path / "state.pt")
        assert_refused(module, tmp_path / "state.pt", tmp_path, "with a scale of F")
    del state["embedding_bags.ads.weight_qbias"]
    torch.save(state, tmp_path / "state.pt")
    assert_refused(module, tmp_path / "state.pt", tmp_path, "with a scale of F16 [40, 1]")
    plain = make_quantized(configs()[2:])
    state = {**raw(plain.state_dict()), "embedding_bags.pages.weight_qscale": torch.ones(20, 1).half()}
    torch.save(state, tmp_path / "state.pt")
    assert_refused(plain, tmp_path / "state.pt", tmp_path, 'table "pages": ')


class Trap:
    """Unpickling it would raise."""

    def __reduce__(self):
        return exec, ("raise SystemExit('pickled code was run')",)


def test_pickled_code_is_never_run(tmp_path):
    module = make_quantized(TABLES)
    torch.save({"a trap": Trap(), **module.state_dict(), "z": [Trap()]}, tmp_path / "state.pt")
    assert_imports(module, tmp_path / "state.pt", tmp_path)
    (tmp_path / "imported").rename(tmp_path / "other")
    torch.save(Trap(), tmp_path / "state.pt")
    assert_refused(module, tmp_path / "state.pt", tmp_path, "expected a dict of tensors", "which is never made")


def test_other_archives(tmp_path):
    module = make_quantized(register_tbes=True)
    path = tmp_path / "state.pt"
    save_traced(module, path)
    assert_refused(module, path, tmp_path, "got a TorchScript archive; import it with trec-import-torch")
    np.savez(tmp_path / "state.npz", a=np.ones(3))
    assert_refused(module, tmp_path / "state.npz", tmp_path, "got a zip archive without an uncompressed data.pkl")
    with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("state/data.pkl", bytes(3000))
    assert_refused(module, tmp_path / "packed.pt", tmp_path, "got a zip archive without an uncompressed data.pkl")
    torch.save(module.state_dict(), path, pickle_protocol=4)
    assert_refused(module, path, tmp_path, "expected a pickle of protocol 2")


def replace_pickle(path, data):
    return edit(path, lambda name, old: data if name == "data.pkl" else old)


def test_damaged_pickles(tmp_path):
    module, path = make_quantized(), tmp_path / "state.pt"
    torch.save(module.state_dict(), path)
    with zipfile.ZipFile(path) as file:
        good = file.read("state/data.pkl")
    steps = [b"", b".", b"R.", b"(t", b"t.", b"u.", b"}u.", b"}(K\1u.", b"s.", b"a.", b"}K\1a.", b"e.", b"](", b"h\0.",
             b"h", b"q\0.", b"q", b"X\5\0\0\0ab", b"X\1", b"cab", b"ca\nb", b"J\1", b"\x8a\5a", b"Q.", b"b.", b"K\1b.",
             b"G\0.", b"\x86.", b"K\1K\1R.", b"\x95.", b"(."]  # fmt: skip
    for data in [b"\x80\2" + step for step in steps] + [good[: len(good) // 2]]:
        replace_pickle(path, data)
        assert_refused(module, path, tmp_path, "its pickle is damaged, or has more than plain tensors")
    replace_pickle(path, b"")
    assert_refused(module, path, tmp_path, "expected a pickle of protocol 2")


def test_endless_dicts(tmp_path):
    module, path = make_quantized(), tmp_path / "state.pt"
    endless: dict = {}
    endless.update({"a": endless, "b": endless})
    torch.save({**endless, **module.state_dict()}, path)
    assert run(write_spec(module, tmp_path, path), tmp_path / "fine").returncode == 0
    deep: dict = {}
    for _ in range(20):
        deep = {"a": deep}
    torch.save(deep, path)
    assert_refused(module, path, tmp_path, "expected a dict of tensors, got dicts of more than 16 levels")


def test_tensors_outside_of_their_records(tmp_path):
    module, path = make_quantized(configs()[:1]), tmp_path / "state.pt"
    torch.save(raw(module.state_dict()), path)
    original = path.read_bytes()
    edit(path, lambda name, data: data[:-1] if name == "data/0" else data)
    expected = 'tensor "embedding_bags.ads.weight" ends outside of its record of 1279 bytes'
    assert_refused(module, path, tmp_path, expected)
    path.write_bytes(original)
    edit(path, lambda name, data: None if name == "data/0" else data)
    assert_refused(module, path, tmp_path, "ends outside of its record of 0 bytes")
    for old, new, expected in [
        (b"K K\1\x86", b"\x8a\x08" + struct.pack("<q", 2**62) + b"K\1\x86", "ends outside of its record"),
        (b"K(K \x86", b"J\xff\xff\xff\xffK \x86", "its pickle is not as torch.save writes it"),
        (b"K(K \x86", b"K(\x85", "its pickle is not as torch.save writes it"),
        (b"QK\0", b"QJ\xff\xff\xff\xff", "its pickle is not as torch.save writes it"),
    ]:
        path.write_bytes(original)
        with zipfile.ZipFile(path) as file:
            data = file.read("state/data.pkl")
        assert old in data, data
        replace_pickle(path, data.replace(old, new, 1))
        assert_refused(module, path, tmp_path, expected)


def test_byte_order(tmp_path):
    module, path = make_quantized(), tmp_path / "state.pt"
    torch.save(module.state_dict(), path)
    edit(path, lambda name, data: b"big" if name == "byteorder" else data)
    assert_refused(module, path, tmp_path, 'expected tensors of little-endian bytes, got "big"')


def test_damaged_archives(tmp_path):
    module, path = make_quantized(), tmp_path / "state.pt"
    torch.save(module.state_dict(), path)
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    directory = data.index(b"PK\1\2")
    (first,) = struct.unpack_from("<I", data, directory + 42)

    def changed(at, value, kind="<I"):
        copy = bytearray(data)
        struct.pack_into(kind, copy, at, value)
        return copy

    for content, expected in [
        (data[: end - 40], "it has no directory at its end"),
        (changed(end + 16, 2**31), "its directory is outside of it"),
        (changed(end + 12, 10), "an entry of its directory is cut"),
        (changed(directory, 7), "an entry of its directory is cut"),
        (changed(directory + 28, 65535, "<H"), "an entry of its directory is cut"),
        (changed(directory + 42, 2**31), "is not where it should be"),
        (changed(directory + 42, first + 1), "is not where it should be"),
        (changed(first + 28, 65535, "<H"), "ends outside of it"),
    ]:
        path.write_bytes(content)
        assert_refused(module, path, tmp_path, "damaged or truncated zip archive: ", expected)


def test_large_archives(tmp_path, monkeypatch):
    """64-bit sizes, places and directory, as in archives of more than 4 GiB."""
    module, path = make_quantized(), tmp_path / "state.pt"
    torch.save(module.state_dict(), tmp_path / "small.pt")
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    with zipfile.ZipFile(path, "w") as file, zipfile.ZipFile(tmp_path / "small.pt") as small:
        for name in small.namelist():
            with file.open(name, "w", force_zip64=True) as record:
                record.write(small.read(name))
    data = bytearray(path.read_bytes())
    assert data.count(b"PK\6\6") == 1 and b"\xff\xff\xff\xff" in data
    # Python leaves the small numbers in place.
    struct.pack_into("<II", data, data.rindex(b"PK\5\6") + 12, 2**32 - 1, 2**32 - 1)
    path.write_bytes(data)
    assert_imports(module, path, tmp_path)
    (tmp_path / "imported").rename(tmp_path / "other")
    path.write_bytes(path.read_bytes().replace(b"PK\6\6", b"PK\6\0"))
    assert_refused(module, path, tmp_path, "it has no 64-bit directory")


def test_rows_that_memory_cannot_hold(tmp_path):
    """Rows of a few bytes that are padded to many."""
    rows, alignment = 1 << 20, 1 << 16
    module = make_quantized([table_of("t", 1, "page", DataType.FP32)], row_alignment=alignment)
    spec = write_spec(module, tmp_path, tmp_path / "state.pt")
    spec.write_text(spec.read_text().replace('"num_embeddings": 20,', f'"num_embeddings": {rows},'))
    torch.save({"embedding_bags.t.weight": torch.zeros(rows, 1)}, tmp_path / "state.pt")
    limit = 8 << 30
    result = run(spec, tmp_path / "imported", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert result.returncode == 1 and f"its {rows * alignment} bytes do not fit into memory" in result.stderr


def test_state_dict_is_never_overwritten(tmp_path):
    module = make_quantized()
    (tmp_path / "imported").mkdir()
    weights = tmp_path / "imported" / "model.safetensors"
    save_file(raw(module.state_dict()), weights)
    before = weights.read_bytes()
    result = run(write_spec(module, tmp_path, weights), tmp_path / "imported")
    assert result.returncode == 1 and "this state dict is the file to be written; move it elsewhere" in result.stderr
    assert weights.read_bytes() == before


def test_tables_under_their_own_names_come_first(tmp_path):
    """A file of both kinds is plain weights, as ever."""
    module = make_quantized()
    state = raw(module.state_dict())
    plain = {name.split(".")[1]: value for name, value in state.items()}
    zeros = {name: torch.zeros_like(value) for name, value in state.items()}
    save_file({**plain, **zeros}, tmp_path / "both.safetensors")
    assert_imports(module, tmp_path / "both.safetensors", tmp_path)


def test_missing_file(tmp_path):
    assert_refused(make_quantized(), tmp_path / "none.pt", tmp_path, "cannot be read")
    (tmp_path / "legacy.pt").write_bytes(pickle.dumps({"a": 1}))
    assert_refused(make_quantized(), tmp_path / "legacy.pt", tmp_path, "not a safetensors file")
