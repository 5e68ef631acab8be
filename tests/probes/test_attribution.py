"""The probe's examples, targets and baselines; its scalars against closed forms; what it refuses."""

import pytest
import torch
from torch import nn

from atml_exp.attribution.saliency import saliency
from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes import attribution as module
from atml_exp.probes.attribution import attribution, question

G = torch.Generator().manual_seed(0)
X, Y = torch.randn(40, 5, generator=G), torch.arange(40).flip(0) // 10 % 3
TABLE = Split(X, Y)
IMAGES = Split(torch.randn(12, 1, 8, 8, generator=G), torch.arange(12) % 4)
ALL = ("saliency", "gradient_input", "smoothgrad", "integrated_gradients", "occlusion", "lime", "kernel_shap")


def test_names_that_others_call():
    assert callable(module.integrated_gradients)
    assert callable(module.exact_shapley)
    assert callable(module.randomisation_check)


def test_of_a_table_all_arrays_are_there_and_nothing_is_touched():
    found = check_probe(attribution, mlp((5,), 3, width=8), TABLE)
    assert all(found[name].shape == (6, 5) for name in (*ALL, "input"))
    assert all(found[name].dtype == torch.float64 for name in ALL)
    assert found["ranks"].shape == (7, 7)
    torch.testing.assert_close(found["ranks"].diagonal(), torch.ones(7).double())


def test_of_images_with_batch_norm():
    def probe(model, data):
        return attribution(model, data, methods=("grad_cam", "lime"), num_examples=3, patch=4, samples=50)

    found = check_probe(probe, cnn((1, 8, 8), 4, width=4, normalisation="batch"), IMAGES)
    assert found["grad_cam"].shape == (3, 1, 8, 8)
    assert len(found["lime"][0].unique()) == 4  # squares of 4 × 4 pixels


def test_the_first_of_each_class_in_turn():
    data = Split(torch.randn(7, 2), torch.tensor([1, 1, 0, 2, 1, 0, 0]))
    assert module._in_turn(data, 6).tolist() == [2, 0, 3, 5, 1, 6]
    assert module._in_turn(data, 99).tolist() == [2, 0, 3, 5, 1, 6, 4]
    assert module._in_turn(Split(torch.randn(3, 2), torch.randn(3)), 2).tolist() == [0, 1]


def test_targets_are_the_predictions_or_the_labels():
    model = mlp((5,), 3, width=8)
    predicted, labelled = (question(model, TABLE, 6, target) for target in ("predicted", "label"))
    assert torch.equal(predicted.target, model(TABLE.x[predicted.rows]).argmax(1))
    assert torch.equal(labelled.target, TABLE.y[labelled.rows])
    assert question(mlp((5,), 1, width=8), TABLE, 6, "label").target.tolist() == [0] * 6
    found = attribution(model, TABLE, methods=("saliency",), target="label")
    expected = saliency(model.double(), labelled.x, labelled.target)
    torch.testing.assert_close(found["saliency"], expected)


@pytest.mark.parametrize(
    ("baseline", "start"), [("zero", 0 * X[0]), ("mean", X.double().mean(0)), ("minimum", X.amin(0))]
)
def test_baselines(baseline, start):
    model = nn.Linear(5, 3)
    torch.testing.assert_close(question(model, TABLE, 4, baseline=baseline).baseline, start.double())
    found = attribution(model, TABLE, baseline=baseline, methods=("integrated_gradients", "occlusion"), steps=1)
    assert found["completeness_error/integrated_gradients"] < 1e-12
    assert found["completeness_error/occlusion"] < 1e-12
    whole = model.double()(TABLE.x[found["example"]].double())
    change = (whole - model(start.double())).gather(1, found["target"][:, None])[:, 0]
    torch.testing.assert_close(found["change"], change.detach())


def test_of_a_linear_model_shares_agree_and_lime_is_certain():
    found = attribution(nn.Linear(5, 3), TABLE, methods=("gradient_input", "lime", "kernel_shap", "exact_shap"))
    assert found["agreement"] == pytest.approx(1)
    assert found["lime_spread"] < 1e-10
    assert found["kernel_shap_error"] < 1e-10


def test_gaps_are_sums_over_examples():
    model = mlp((5,), 3, width=8, activation="tanh")
    found = attribution(model, TABLE, methods=("gradient_input", "saliency"))
    gap = (found["gradient_input"].sum(1) - found["change"]).abs().sum() / found["change"].abs().sum()
    assert found["completeness_error/gradient_input"] == pytest.approx(float(gap))
    assert gap > 0.001
    assert "completeness_error/saliency" not in found


def test_occlusion_by_larger_windows_is_no_share():
    found = attribution(mlp((5,), 3, width=8), TABLE, methods=("occlusion",), window=2)
    assert not [name for name in found if name.startswith("completeness")]


def test_players_are_at_most_64_unless_they_are_asked_for():
    assert int(module._players((1, 8, 8), None).max()) == 63
    assert int(module._players((3, 32, 32), None).max()) == 63
    assert int(module._players((1, 28, 28), None).max()) == 48
    assert int(module._players((100,), None).max()) == 49
    assert int(module._players((1, 28, 28), 1).max()) == 783


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"methods": ()}, "name at least one, each once"),
        ({"methods": ("lime", "lime")}, "name at least one, each once"),
        ({"methods": ("grad_cam",)}, "MLP has no convolution"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        attribution(mlp((5,), 3, width=8), TABLE, **options)


def test_exact_shap_of_many_pixels_is_refused():
    with pytest.raises(ValueError, match="64 players"):
        attribution(mlp((1, 8, 8), 4, width=8), IMAGES, methods=("exact_shap",))
