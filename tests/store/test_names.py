"""Folders for names that people choose."""

from ulmfit.store.names import folder_of


def test_names_that_look_alike_have_folders_of_their_own() -> None:
    names = ["Tickets", "tickets", "a/b", "a-b", "ü" * 200, "ü" * 201, ".", "..", "\udcff"]
    folders = [folder_of(name) for name in names]
    assert len({folder.lower() for folder in folders}) == len(names)
    assert all(len(folder) < 64 and folder.isascii() and "/" not in folder and not folder.startswith(".") for folder in folders)
