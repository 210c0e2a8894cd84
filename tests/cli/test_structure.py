"""snellen structure: what it prints, that its networks are models, and bad input in one line."""

import pytest


def test_a_trained_network_is_a_model_for_the_other_commands(snellen, tmp_path):
    done = snellen("structure", "train", "quadratic", "--steps", 3, "--size", 16, "--out", tmp_path / "net")
    assert done.code == 0, done.err
    assert done.out.strip() == f"network: structure:{tmp_path / 'net'}"
    told = snellen("layers", f"structure:{tmp_path / 'net'}")
    assert told.code == 0, told.err
    assert "QuadraticNetwork, input 16x16" in told.out
    deceived = snellen(
        "deceive",
        f"structure:{tmp_path / 'net'}",
        "--method",
        "lying-gradients",
        "--quick",
        "--out",
        tmp_path / "lying",
    )
    assert deceived.code in (0, 1), deceived.err
    assert snellen("layers", tmp_path / "lying").code == 0  # which names the network's folder, and no code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "marble"), "expected one of plain"),
        (("train", "cosin"), "cosine"),
        (("train", "plain", "--size", "20"), "multiple of 8"),
        (("train", "plain", "--images", "nowhere"), "nowhere"),
        (("train", "plain", "--images", "builtin:train", "--held", "nowhere"), "nowhere"),
        (("compare", "--structure", "marble"), "expected one of plain"),
        (("compare", "--structure", "plain", "--structure", "plain"), "different structures"),
        (("compare", "--viewer", "nobody"), "nobody"),
    ],
)
def test_bad_input_is_one_line(snellen, tmp_path, words, told):
    line = snellen("structure", *words, "--out", tmp_path / "out").line
    assert told in line
    assert not (tmp_path / "out" / "networks").exists()
