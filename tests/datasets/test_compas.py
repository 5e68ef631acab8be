import pytest

from atml_exp.checks import check_dataset
from atml_exp.datasets.compas import compas
from atml_exp.errors import ConfigError


def test_cases_that_pass_the_filters_are_read(write_table, tmp_path):
    write_table("compas")  # 60 cases and five that are filtered out
    data = compas(root=str(tmp_path))
    check_dataset(data)
    assert (len(data.train), len(data.test)) == (42, 18)
    assert data.group_names == ("African-American", "Caucasian", "Other")
    assert data.input_shape == (5 + 2 + 3 + 2,)
    assert int(data.train.y.sum()) + int(data.test.y.sum()) == 30
    assert abs(float(data.train.y.float().mean()) - 0.5) < 0.02  # stratified


def test_of_two_columns_of_one_name_the_first_counts(write_table, tmp_path):
    write_table("compas")
    data = compas(root=str(tmp_path), groups=["African-American", "Caucasian"])
    assert data.group_names == ("African-American", "Caucasian")
    priors = data.train.x[:, 4]
    assert len(priors.unique()) > 2  # the second column of that name is 0 throughout


def test_another_file_is_told(tmp_path):
    (tmp_path / "compas-scores-two-years.csv").write_text("id,name\n1,x\n")
    with pytest.raises(ConfigError, match="line 1: no column 'age'"):
        compas(root=str(tmp_path))


def test_a_torn_row_is_named(write_table, tmp_path):
    write_table("compas")
    with (tmp_path / "compas-scores-two-years.csv").open("a") as file:
        file.write("1,2\n")
    with pytest.raises(ConfigError, match="line 67: 2 entries for"):
        compas(root=str(tmp_path))
