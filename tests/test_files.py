import pytest

from harness.files import create_file, scratch_beside


def test_a_scratch_folder_goes_with_the_parents_made_for_nothing(tmp_path):
    def stop_half_way():
        with scratch_beside(tmp_path / "a" / "b" / "target") as scratch:
            (scratch / "file").touch()
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half"):
        stop_half_way()
    assert not list(tmp_path.iterdir())


def test_what_was_moved_from_a_scratch_folder_stays(tmp_path):
    target = tmp_path / "a" / "target"
    with scratch_beside(target) as scratch:
        (scratch / "file").write_text("whole")
        scratch.replace(target)
    assert (target / "file").read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_file_made_by_another_in_the_meantime_is_not_replaced(tmp_path):
    path = tmp_path / "file"

    def write(scratch):
        scratch.write_text("late")
        path.write_text("first")

    create_file(path, write)
    assert path.read_text() == "first"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_finished_does_not_appear(tmp_path):
    def write(scratch):
        scratch.write_text("half")
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half"):
        create_file(tmp_path / "file", write)
    assert not list(tmp_path.iterdir())
