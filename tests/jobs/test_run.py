import pytest

from snellen.jobs import Job, Plan, Store, missing, results, run


def job(**changes):
    return Job(**{"function": "double", "spec": {"x": 1}, "parts": ("a", "b"), **changes})


def test_everything_that_changes_a_result_changes_its_key_and_nothing_else_does():
    keys = {job().keys["a"], job().keys["b"]}
    keys.add(job(function="treble").keys["a"])
    keys.add(job(spec={"x": 2}).keys["a"])
    keys.add(job(parts=("a", "c")).keys["a"])
    assert len(keys) == 5
    assert job(title="for people", cost=7.0).keys == job().keys


@pytest.mark.parametrize("changes", [{"parts": ()}, {"parts": ("a", "a")}, {"cost": 0.0}])
def test_senseless_jobs_are_refused(changes):
    with pytest.raises(ValueError, match="expected"):
        job(**changes)


class Doubler:
    """Counts its calls and can die after some parts."""

    def __init__(self, fail_after=None):
        self.calls, self.fail_after = [], fail_after

    def __call__(self, spec, context):
        self.calls.append(spec)
        for count, part in enumerate(("a", "b")):
            if self.fail_after is not None and count >= self.fail_after:
                raise KeyboardInterrupt
            context.tick((count + 1) / 2)
            yield part, {"value": 2 * spec["x"], "call": len(self.calls)}


def test_a_run_stores_every_part_and_does_nothing_the_second_time(tmp_path):
    double, store = Doubler(), Store(tmp_path)
    plan = Plan((job(), job(spec={"x": 5})))
    assert run(plan, {"double": double}, store) == 2
    assert results(plan.jobs[1], store)["b"]["value"] == 10
    assert run(plan, {"double": double}, store) == 0
    assert len(double.calls) == 2


def test_a_killed_job_keeps_its_finished_parts_and_only_adds_the_missing_ones(tmp_path):
    store, plan = Store(tmp_path), Plan((job(),))
    with pytest.raises(KeyboardInterrupt):
        run(plan, {"double": Doubler(fail_after=1)}, store)
    assert missing(plan.jobs[0], store) == ("b",)
    kept = store.path(plan.jobs[0].keys["a"]).stat().st_mtime_ns
    assert run(plan, {"double": Doubler()}, store) == 1
    assert missing(plan.jobs[0], store) == ()
    assert store.path(plan.jobs[0].keys["a"]).stat().st_mtime_ns == kept


def test_progress_rises_to_the_total_cost(tmp_path):
    seen = []
    plan = Plan((job(cost=3.0, title="one"), job(spec={"x": 2}, cost=1.0, title="two")))
    run(plan, {"double": Doubler()}, Store(tmp_path), progress=lambda *told: seen.append(told))
    done = [done for _, done, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, 4.0)
    assert {total for _, _, total in seen} == {4.0}
    assert [title for title, _, _ in seen].index("two") == 4
    assert 1.5 in done


@pytest.mark.parametrize(("parts", "message"), [(("a",), 'got "b"'), (("a", "b", "c"), "none for")])
def test_a_function_must_yield_the_parts_it_promised(tmp_path, parts, message):
    with pytest.raises(ValueError, match=message):
        run(Plan((job(parts=parts),)), {"double": Doubler()}, Store(tmp_path))
