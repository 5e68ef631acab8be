import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.datasets.adult import adult
from atml_exp.errors import ConfigError


def test_people_are_read_as_published(write_table, tmp_path):
    write_table("adult")
    data = adult(root=str(tmp_path))
    check_dataset(data)
    assert (len(data.train), len(data.test), data.num_classes) == (40, 20, 2)
    assert data.group_names == ("Female", "Male")
    assert data.train.y.tolist() == [i % 3 == 0 for i in range(40)]  # in the file's order, and without the dots
    assert data.train.group.tolist() == [i % 2 for i in range(40)]
    # 5 numbers; 2 workclasses with ?, 2 marital statuses, 1 occupation, 1 relationship, 2 races, 2 sexes, 1 country
    assert data.input_shape == (5 + 11,)
    assert data.train.x.mean(0).abs().max() < 1e-5


def test_groups_can_be_chosen(write_table, tmp_path):
    write_table("adult")
    data = adult(root=str(tmp_path), group="race", groups=["White", "Black"])
    assert data.group_names == ("White", "Black")
    assert torch.equal(data.train.group.unique(), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": ["Mael", "Female"]}, "no group 'Mael'; allowed: Female, Male; did you mean Male?"),
        ({"groups": ["Male"]}, "the group Male alone"),
    ],
)
def test_groups_that_are_not_there_are_said(write_table, tmp_path, options, said):
    write_table("adult")
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        adult(root=str(tmp_path), **options)


def test_a_missing_file_is_said_with_how_to_get_it(tmp_path):
    with pytest.raises(ConfigError, match=r"adult\.data is missing.*dataset\.download=true"):
        adult(root=str(tmp_path))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("39, Private, 1", "line 42: 3 entries that end in '1': there must be 15"),
        (", ".join(["39"] * 14 + ["maybe"]), "15 entries that end in 'maybe'"),
        (", ".join(["x"] + ["1"] * 13 + [">50K"]), "line 42: age is 'x': not a number"),
    ],
)
def test_a_damaged_row_is_named(write_table, tmp_path, line, said):
    write_table("adult")
    with (tmp_path / "adult.data").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=said):
        adult(root=str(tmp_path))
