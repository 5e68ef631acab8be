"""Made-up explanations: a part that seeds share and a part of their own."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import explanation_instability as figure

MAPS = ("gradient", "smoothgrad", "gradient_input", "integrated_gradients")
SIZES, SEEDS = (50, 400), (0, 1, 2, 3)


@pytest.fixture
def table_of(runs, together, tmp_path):
    """own: the size of a seed's own part of its maps; alternate: seeds that say the opposite of each other."""

    def run(size, seed, own, alternate, numbers, error):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        shared = np.random.default_rng(99).normal(size=(5, 1, 8, 8))
        maps = shared + own * np.random.default_rng(seed).normal(size=shared.shape)
        maps = maps * (-1 if alternate and seed > 1 else 1)
        for method in MAPS:
            path = directory / "arrays" / f"explanation_instability.{method}.npz"
            np.savez(path, steps=np.zeros(1), values=maps[None])
        metrics = [("test/error", [0.9, error]), *((name, [value]) for name, value in numbers.items())]
        of = {"dataset__wrapper__subset__num_train": size, "directory": str(directory)}
        return runs(*metrics, seed=seed, sweep="nets", **of)

    def make(own=1.0, alternate=False, smooth=0.98, deletion=0.3, insertion=0.8, edges=0.6, spread=0.001):
        numbers = {f"explanation_instability/{m}_noise_signed": 0.95 for m in (*MAPS, "edges")}
        numbers["explanation_instability/smoothgrad_noise_signed"] = smooth
        numbers |= {f"faithfulness/{m}_deletion": 0.2 for m in MAPS} | {
            f"faithfulness/{m}_insertion": 0.9 for m in MAPS
        }
        numbers |= {"faithfulness/gradient_deletion": deletion, "faithfulness/gradient_insertion": insertion}
        numbers |= {"faithfulness/random_deletion": 0.5, "faithfulness/random_insertion": 0.5}
        numbers |= {"faithfulness/edges_deletion": edges, "faithfulness/edges_insertion": 0.4}
        places = [(size, seed) for size in SIZES for seed in SEEDS]
        return together(*(run(n, s, own, alternate, numbers, 5 / n + s * spread) for n, s in places))

    return make


def test_claims_hold_of_what_seeds_share_in_part(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    assert [claims[i].measured for i in (0, 3, 4, 5, 6)] == pytest.approx([0.3, 0.03, -0.2, 0.3, 0.1])
    assert 0.3 < claims[1].measured < 0.6


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"spread": 0.1}),
        ([1], {"own": 0.01}),
        ([2], {"alternate": True}),
        ([3], {"smooth": 0.9}),
        ([4], {"deletion": 0.6}),
        ([5], {"insertion": 0.4}),
        ([6], {"edges": 0.4}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, c in enumerate(figure.claims(table_of(**changes))) if c.verdict != "holds"]
    assert found == failing


def test_one_seed_can_t_be_compared(table_of):
    table = table_of()
    claims = figure.claims(table[table["seed"] == 0])
    assert [c.verdict for c in claims[:3]] == ["not measured"] * 3
    assert claims[3].verdict == "holds"
