"""What is stored for the test without Python is what TorchRec and trec.export give of the same model."""

import trec
from archives import assert_same_files, import_archive
from served import STORED, Model, header


def test_stored_outputs_are_torchrec_s():
    assert (STORED / "served.h").read_text() == header()


def test_stored_archive_is_of_the_model(tmp_path):
    printed, warnings = import_archive(STORED / "served.pt", tmp_path / "imported")
    exported = trec.export(Model(), tmp_path / "exported")
    assert warnings == "" and printed == [str(tmp_path / "imported" / path.name) for path in exported]
    for path in exported:
        assert_same_files(tmp_path / "imported" / path.name, path)
