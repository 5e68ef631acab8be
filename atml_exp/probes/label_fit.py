"""What becomes of wrong labels: are they fitted, or seen through?"""

from torch import nn

from atml_exp.data import Dataset, suits
from atml_exp.probe import Value
from atml_exp.probes.features import predict

__all__ = ["label_fit"]


@suits("classification")
def label_fit(model: nn.Module, data: Dataset) -> dict[str, Value]:
    """Shares of the training examples, by what their label is; eval mode.

    `right_fitted`: of those whose label was left alone, answered so. Of those whose label was changed (by
    wrapper=[label_noise] or [random_labels]), `wrong_fitted`: answered with the label that they were given;
    `wrong_restored`: answered with the one that they had. Before a net memorises wrong labels it can answer them
    as it answers others like them (Arpit et al. 2017). ValueError where no label, or every one, was changed.
    """
    if data.clean_labels is None:
        raise ValueError("no label was changed: allowed is dataset/wrapper=[label_noise] or [random_labels]")
    y, before = data.train.y, data.clean_labels
    wrong = y != before
    if not wrong.any() or wrong.all():
        raise ValueError(f"{int(wrong.sum())} of {len(y)} labels are wrong: some must be, and some must not")
    outputs = predict(model, data.train.x).reshape(len(y), -1)
    answers = (outputs[:, 0] > 0).to(y.dtype) if outputs.shape[1] == 1 else outputs.argmax(1)
    return {
        "right_fitted": (answers == y)[~wrong].double().mean(),
        "wrong_fitted": (answers == y)[wrong].double().mean(),
        "wrong_restored": (answers == before)[wrong].double().mean(),
    }
