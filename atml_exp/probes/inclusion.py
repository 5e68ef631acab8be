"""Which examples of a pool a model gets right, and which it was trained on."""

from torch import nn

from atml_exp.data import Split, suits
from atml_exp.probe import Value
from atml_exp.probes.features import predict

__all__ = ["inclusion"]


@suits("classification")
def inclusion(model: nn.Module, data: Split) -> dict[str, Value]:
    """`correct` (N,): 1 where the model answers with the label, `included` (N,): 1 where the example was trained
    on, `changed` (N,): 1 where its label had been changed; of the pool that wrapper=[random_inclusion] makes the
    test split. `accuracy_included`, `accuracy_left_out`: means of `correct`.

    Of many runs, `atml_exp.memorisation` estimates what each example does to its own answer. ValueError for data
    that don't say who was trained on.
    """
    if data.group is None or not bool(((data.group >= 0) & (data.group < 4)).all()):
        raise ValueError("the examples don't say who was trained on: allowed is dataset/wrapper=[random_inclusion]")
    outputs = predict(model, data.x).reshape(len(data), -1)
    answers = (outputs[:, 0] > 0).to(data.y.dtype) if outputs.shape[1] == 1 else outputs.argmax(1)
    correct, included = (answers == data.y).double(), data.group % 2 == 1
    return {
        "correct": correct,
        "included": included.double(),
        "changed": (data.group >= 2).double(),
        "accuracy_included": correct[included].mean(),
        "accuracy_left_out": correct[~included].mean(),
    }
