import pytest

from atml_exp.checks import check_dataset
from atml_exp.datasets.german_credit import german_credit
from atml_exp.errors import ConfigError


def test_customers_are_read_as_published(write_table, tmp_path):
    write_table("german_credit")
    data = german_credit(root=str(tmp_path))
    check_dataset(data)
    assert (len(data.train), len(data.test)) == (42, 18)
    assert data.group_names == ("female", "male")
    assert int(data.train.y.sum()) + int(data.test.y.sum()) == 40  # 1 is good
    assert int(data.train.group.sum()) + int(data.test.group.sum()) == 30


def test_groups_by_age(write_table, tmp_path):
    write_table("german_credit")
    data = german_credit(root=str(tmp_path), group="age")
    assert data.group_names == ("over 25", "up to 25")


def test_a_damaged_row_is_named(write_table, tmp_path):
    write_table("german_credit")
    with (tmp_path / "german.data").open("a") as file:
        file.write("A11 6 A34\n")
    with pytest.raises(ConfigError, match="line 61: 3 entries that end in 'A34': there must be 21"):
        german_credit(root=str(tmp_path))
