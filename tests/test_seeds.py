"""Draws depend on the seed and the purpose alone, and leave the global state as it was."""

import torch

from atml_exp.seeds import derive, generator, seeded_globally


def test_derived_seeds_differ_between_seeds_and_purposes_and_never_change():
    seeds = [derive(s, *p) for s in range(20) for p in (("order", 0), ("order", 1), ("init",), ("wrapper", "a"))]
    assert len(set(seeds)) == 80
    assert all(0 <= s < 2**63 for s in seeds)
    assert derive(0, "order", 0) == 3955691223199900983  # stored: another value would change every result


def test_generators_repeat_themselves():
    assert torch.equal(torch.rand(3, generator=generator(1, "a")), torch.rand(3, generator=generator(1, "a")))
    assert not torch.equal(torch.rand(3, generator=generator(1, "a")), torch.rand(3, generator=generator(2, "a")))


def test_the_global_state_is_seeded_within_and_put_back():
    before = torch.get_rng_state()
    with seeded_globally(5, "initialisation"):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    with seeded_globally(5, "initialisation"):
        assert torch.equal(torch.rand(3), first)
