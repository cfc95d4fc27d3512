"""Files and folders: whole or not at all, claimed by one process, verified when read back."""

from mdsrec_pyg.io.files import atomic_write, read_json, write_json
from mdsrec_pyg.io.folders import atomic_folder, settle
from mdsrec_pyg.io.locks import claim
from mdsrec_pyg.io.seals import load_sealed, save_sealed, sha256

__all__ = [
    "atomic_folder",
    "atomic_write",
    "claim",
    "load_sealed",
    "read_json",
    "save_sealed",
    "settle",
    "sha256",
    "write_json",
]
