"""The agreement that figures compute is that of the probes, without torch."""

import numpy as np
import pytest
import torch

from atml_exp.attribution.agreement import agreement
from atml_exp.figures.explanations import agreements, between, pairwise_agreement

MAPS = np.random.default_rng(0).normal(size=(3, 5, 12))


def test_it_is_what_the_probes_compute_ties_and_all():
    for one, other in ((MAPS[0], MAPS[1]), (MAPS[0].round(), MAPS[1].round()), (MAPS[0], -MAPS[0])):
        theirs = agreement(torch.from_numpy(one), torch.from_numpy(other))
        assert between(one, other) == pytest.approx(theirs.signed, abs=1e-12)
        assert between(one, other, absolute=True) == pytest.approx(theirs.absolute, abs=1e-12)


def test_pairs_and_their_mean():
    found = agreements(list(MAPS))
    assert len(found) == 3
    assert pairwise_agreement(list(MAPS)) == pytest.approx(np.mean(found))
    assert np.isnan(pairwise_agreement([MAPS[0]]))
    assert between(np.zeros((1, 3)), MAPS[0][:1, :3]) == 0
