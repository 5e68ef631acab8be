"""On a local cluster of Ray with two workers. One test: two clusters at once are too many for a small machine."""

import pytest

from tests.launchers.cluster_page import of_page

RAY = tuple(dict.fromkeys(text for command in of_page("ray") for text in command))
"""What the page's commands with Ray say, at once: to start a cluster takes long."""
TWO_GPUS = "+hydra.launcher.ray.init.num_gpus=2"
"""For Ray a GPU is a number that it counts, so the page's GPU for each worker needs none here."""
(OVER_RAY,) = of_page("fused", over="ray")


@pytest.mark.slow
def test_what_fails_stops_no_other_and_a_killed_worker_not_even_its_own_job(
    atml, sweep, explosive, deadly, tmp_path, same_as_one_by_one
):
    failing = (*sweep, *explosive[:-1], "seed=0")
    ended = atml(*failing, *RAY, TWO_GPUS)
    assert ended.returncode == 1, ended.stderr
    assert "sweep of 2 jobs: 1 complete, 1 failed" in ended.stdout
    killing = (*sweep, *deadly)
    ended = atml(*killing, *OVER_RAY)
    assert (tmp_path / "killed").exists()
    assert ended.returncode == 0, ended.stderr
    assert "sweep of 4 jobs: 4 complete" in ended.stdout
    same_as_one_by_one(tmp_path / "outputs", failing, killing)
