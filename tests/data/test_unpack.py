import stat
import zipfile

import pytest

from harness.data.download import unpack
from harness.errors import DownloadError


@pytest.fixture
def pack(tmp_path):
    def pack(*members, compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for member, content in members:
                archive.writestr(member, content)
        return path

    return pack


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "set"


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_single_folder_around_all_files_is_left_out(pack, folder):
    unpack(pack(("top/", ""), ("top/a.txt", "A"), ("top/in/b.txt", "B")), folder)
    assert names(folder) == ["a.txt", "in", "in/b.txt"]
    assert (folder / "a.txt").read_text() == "A"


def test_files_in_several_folders_keep_them(pack, folder):
    unpack(pack(("one/a.txt", "A"), ("two/b.txt", "B")), folder)
    assert names(folder) == ["one", "one/a.txt", "two", "two/b.txt"]


def test_a_file_beside_a_folder_keeps_it(pack, folder):
    unpack(pack(("one/a.txt", "A"), ("b.txt", "B")), folder)
    assert names(folder) == ["b.txt", "one", "one/a.txt"]


@pytest.mark.parametrize(
    "name",
    [
        "../a.txt",
        "top/../../a.txt",
        "/a.txt",
        "C:a.txt",
        "C:/a.txt",
        "//host/share/a.txt",
    ],
)
def test_a_member_that_would_be_written_outside_is_refused(pack, folder, name):
    archive = pack(("top/good.txt", "good"), (name, "bad"))
    with pytest.raises(DownloadError, match="outside the folder"):
        unpack(archive, folder)
    assert not folder.exists()


def test_a_backslash_in_a_name_is_refused(pack, folder):
    archive = pack(("top/good.txt", "good"), ("..-a.txt", "bad"))
    # Python's own writer does not write a backslash; others do.
    archive.write_bytes(archive.read_bytes().replace(b"..-a.txt", b"..\\a.txt"))
    with pytest.raises(DownloadError, match="outside the folder"):
        unpack(archive, folder)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(pack, folder, kind):
    member = zipfile.ZipInfo("top/link")
    member.external_attr = (kind | 0o777) << 16
    with pytest.raises(DownloadError, match="a link or a device"):
        unpack(pack((member, "../../../etc")), folder)
    assert not folder.exists()


def test_a_zip_bomb_is_refused_before_anything_is_written(pack, folder):
    archive = pack(("top/zeros", bytes(1_000_000)))
    # Deflate packs zeros about a thousandfold; a hundredfold is allowed.
    assert 100 * archive.stat().st_size < 1_000_000
    with pytest.raises(DownloadError, match="would unpack to 1,000,000 bytes"):
        unpack(archive, folder)
    assert not folder.exists()


def test_a_member_that_is_larger_than_declared_is_refused(pack, folder):
    archive = pack(("top/a", b"x" * 1_000), compression=zipfile.ZIP_STORED)
    declared, true = (10).to_bytes(4, "little"), (1_000).to_bytes(4, "little")
    content = archive.read_bytes()
    assert content.count(true + true) == 2  # sizes, in the header and in the directory
    archive.write_bytes(content.replace(true + true, declared + declared))
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(pack, folder):
    with pytest.raises(DownloadError, match="a file twice"):
        unpack(pack(("top/a.txt", "1"), ("top/a.txt", "2")), folder)


def test_too_many_files_are_refused(pack, folder):
    archive = pack(*((f"top/{n}", "x") for n in range(1_001)))
    with pytest.raises(DownloadError, match="1,001 files"):
        unpack(archive, folder)


def test_an_encrypted_member_is_refused(pack, folder):
    archive = pack(("top/a.txt", "A"))
    with zipfile.ZipFile(archive) as opened:
        directory = opened.start_dir
    content = bytearray(archive.read_bytes())
    content[directory + 8] |= 1  # general purpose flag of the central directory
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="is encrypted"):
        unpack(archive, folder)


def test_what_is_no_zip_archive_is_refused(tmp_path, folder):
    archive = tmp_path / "set.zip"
    archive.write_text("<html>Sign in</html>")
    with pytest.raises(DownloadError, match=r"set\.zip: .* damaged"):
        unpack(archive, folder)


def test_a_damaged_member_is_refused(pack, folder):
    archive = pack(("top/a.txt", "AAAA"), compression=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"AAAA", b"ABAA"))
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, folder)
