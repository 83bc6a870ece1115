"""trec-import-torch: archives that are cut, altered, or made to break their reader end in one line, never in a crash."""

import pickle
import random
import struct
import zipfile

import pytest
from archives import assert_refused, edit, replace_code, run, save_traced
from conftest import make_quantized

@pytest.fixture
def archive(tmp_path):
    return save_traced(make_quantized(register_tbes=True), tmp_path / "model.pt")


@pytest.mark.parametrize("part", [i / 12 for i in range(1, 12)] + [0.9999])
def test_truncated(archive, part):
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * part)])
    assert_refused(archive, "damaged or truncated zip archive: it has no directory at its end")


def test_nearly_empty(archive):
    archive.write_bytes(archive.read_bytes()[:2])
    assert_refused(archive, "cannot be loaded, for it is damaged")


@pytest.mark.parametrize("record", ["data.pkl", "data/0", "constants.pkl", "version"])
def test_a_changed_byte(archive, record):
    """LibTorch would read it: a weight that has changed gives other numbers and no error."""
    with zipfile.ZipFile(archive) as file:
        entry = next(item for item in file.infolist() if item.filename.partition("/")[2] == record)
    data = bytearray(archive.read_bytes())
    name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
    begin = entry.header_offset + 30 + name + extra
    data[begin + entry.file_size // 2] ^= 1
    archive.write_bytes(data)
    assert_refused(
        archive,
        f'record "{entry.filename}" of {entry.file_size} bytes at {begin}: expected checksum {entry.CRC:X}, got ',
    )


def test_compressed_records(archive, tmp_path):
    """LibTorch reads them as well; nothing of them can be mapped."""
    assert run(archive, "-o", tmp_path / "stored").returncode == 0
    with zipfile.ZipFile(archive) as file:
        records = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in records.items():
            file.writestr(name, data)
    assert run(archive, "-o", tmp_path / "packed").returncode == 0
    for name in ("model.mlir", "model.safetensors"):
        assert (tmp_path / "stored" / name).read_bytes() == (tmp_path / "packed" / name).read_bytes()


def test_damaged_records(archive):
    original = archive.read_bytes()
    for record, data, expected in [
        ("constants.pkl", pickle.dumps(3, 2), "got constants.pkl without a tuple"),
        ("data.pkl", pickle.dumps((), 2), "got data.pkl without a module"),
        ("data.pkl", b"\x80\x02", "cannot be loaded, for it is damaged"),
    ]:
        archive.write_bytes(original)
        edit(archive, lambda name, old: data if name == record else old)
        assert_refused(archive, expected)


def test_records_shorter_than_their_tensors(archive):
    largest = []
    edit(archive, lambda name, data: largest.append((len(data), name)) or data if name.startswith("data/") else data)
    size, record = max(largest)
    edit(archive, lambda name, data: data[:-1] if name == record else data)
    assert_refused(archive, "is damaged: tensor 'tbes.0.weights_host'", f"expected {size} bytes, got {size - 1}")


@pytest.mark.parametrize("size", [2**61, 2**63 - 1, 10**6])
def test_tensors_of_giant_sizes(archive, size):
    """Sizes in a pickle are the archive's word; the bytes of the record are what counts."""
    places = []

    def enlarge(name, data):
        if name != "data.pkl":
            return data
        # Offset 0, the size of a vector of three elements, and its stride.
        places.append(data.count(b"K\x00(K\x03t(K\x01t"))
        return data.replace(b"K\x00(K\x03t(K\x01t", b"K\x00(\x8a\x08" + struct.pack("<q", size) + b"t(K\x01t")

    edit(archive, enlarge)
    assert sum(places)
    assert_refused(archive, "it is damaged: ", "torage")


DEPTH = 200_000
CODE = {
    "parentheses": "return " + "(" * DEPTH + "keyed_tensor" + ")" * DEPTH,
    "signs": f"x = {'-' * DEPTH}3\n    return keyed_tensor",
    "attributes": f"x = features{'.a' * DEPTH}\n    return keyed_tensor",
}


@pytest.mark.parametrize("what", CODE)
def test_code_that_nests_too_deep(archive, what):
    replace_code(archive, "return keyed_tensor", CODE[what])
    assert_refused(archive, "cannot be loaded: LibTorch was ended by signal 11 (Segmentation fault)")


def test_data_that_nests_too_deep(archive):
    nested = b"\x80\x02K\x01" + b"\x85" * DEPTH + b"."
    edit(archive, lambda name, data: nested if name == "data.pkl" else data)
    assert_refused(archive, "cannot be loaded: LibTorch was ended by signal 11 (Segmentation fault)")


def damage(random, data):
    data = bytearray(data)
    for _ in range(random.choice([1, 3, 20])):
        place = random.randrange(len(data) or 1)
        if data and random.random() < 0.6:
            data[place] = random.randrange(256)
        else:
            data[place : place + random.randrange(1, 9)] = random.randbytes(random.randrange(9))
    return bytes(data)


@pytest.mark.parametrize("seed", range(24))
def test_random_damage(archive, tmp_path, seed):
    """With the right checksums, so that LibTorch sees it."""
    source = random.Random(seed)
    with zipfile.ZipFile(archive) as file:
        texts = [name for name in file.namelist() if name.endswith((".py", "data.pkl", "constants.pkl"))]
    chosen = source.choice(texts).partition("/")[2]
    edit(archive, lambda name, data: damage(source, data) if name == chosen else data)
    result = run(archive, "-o", tmp_path / "imported")
    assert result.returncode in (0, 1)
    # Python would not have decoded an error that is no UTF-8.
    if result.returncode:
        assert result.stderr.startswith(f"trec-import-torch: error: {archive}: ") and result.stderr.count("\n") == 1
